import type { Config } from '../config/schema.js';
import { errorRecord } from '../errors/error.js';
import { createLog, type LogRoot } from '../host/log.js';
import { createNotifier } from '../host/sd-notify.js';
import { openSqliteQueue } from '../queue/sqlite/store.js';
import { pipelineStages } from '../stages/pipeline.js';
import { hyper2kvmVersion } from '../tools/versions.js';
import { daemonParts, hostParts } from './compose.js';
import { Lifecycle } from './lifecycle.js';
import { reloaded } from './reload.js';

export interface DaemonOptions {
  /** Reads the configuration again, for SIGHUP. Without it a reload changes nothing. */
  reload?: () => Config;
  log?: LogRoot;
}

export interface Daemon {
  /**
   * Stops claiming, ends what is running (it resumes at the next start), and releases everything. Resolves
   * when all of that is done.
   */
  stop(): Promise<void>;
  reload(): void;
}

/**
 * Starts the service's parts in order; resolves when it is ready. If a part cannot start, those before it are
 * stopped again and its error is thrown: `config.extra-stage`, `daemon.already-running`, `daemon.directory`,
 * `queue.unusable`, `queue.newer-schema`, `api.socket`, `api.metrics`.
 */
export async function startDaemon(initial: Config, options: DaemonOptions = {}): Promise<Daemon> {
  let config = initial;
  const version = hyper2kvmVersion();
  const log = options.log ?? createLog({ level: config.log.level, form: config.log.format });
  const logger = log.logger;
  const notifier = createNotifier({
    env: process.env,
    onFailure: (err) => logger.warn({ err }, 'systemd-notify failed, notifying systemd directly'),
  });
  const lifecycle = new Lifecycle(logger);
  try {
    const stageNames = (await pipelineStages(config)).map(({ name }) => name);
    await lifecycle.start(hostParts(config, logger));
    const queue = openSqliteQueue(config.state.database);
    await lifecycle.start([
      { name: 'queue', start() {}, stop: () => queue.close() },
      ...daemonParts({ config: () => config, queue, log, notifier, version, stageNames }),
    ]);
  } catch (error) {
    await lifecycle.stop();
    throw error;
  }

  return {
    async stop() {
      logger.info('daemon stopping');
      await lifecycle.stop();
      logger.info('daemon stopped');
    },
    reload() {
      notifier.reloading();
      try {
        const next = reloaded(config, options.reload?.() ?? config);
        config = next.config;
        log.setLevel(config.log.level);
        logger.info({ applied: next.applied, need_restart: next.needRestart }, 'configuration reloaded');
      } catch (error) {
        const { code, message, advice } = errorRecord(error);
        logger.error({ code, error: message, advice }, 'configuration not reloaded, keeping the current one');
      }
      notifier.ready();
    },
  };
}

/**
 * Runs the `daemon` command until SIGTERM or SIGINT; SIGHUP reloads. A second SIGTERM or SIGINT ends it at
 * once (every job remains resumable).
 */
export async function runDaemon(config: Config, options: DaemonOptions = {}): Promise<void> {
  const daemon = await startDaemon(config, options);
  await new Promise<void>((resolve) => {
    process.on('SIGHUP', () => daemon.reload());
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.once(signal, () => {
        process.once(signal, () => process.exit(1));
        resolve();
      });
    }
  });
  await daemon.stop();
}
