import type { Config } from '../../../config/schema.js';
import { createLog } from '../../../host/log.js';
import { createNotifier } from '../../../host/sd-notify.js';
import { FetchServer } from './server.js';

/** Serves fetches until SIGTERM or SIGINT. Errors: `api.socket`. */
export async function runFetchUnit(config: () => Config): Promise<void> {
  const { log, remote } = config();
  const { logger } = createLog({ level: log.level, form: log.format });
  const notifier = createNotifier({
    env: process.env,
    onFailure: (err) => logger.warn({ err }, 'systemd-notify failed, notifying systemd directly'),
  });
  const server = new FetchServer(config, logger);
  await server.start(remote.socket);
  logger.info({ socket: remote.socket }, 'fetching unit ready');
  notifier.ready();
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
  notifier.stopping();
  await server.stop();
  logger.info('fetching unit stopped');
}
