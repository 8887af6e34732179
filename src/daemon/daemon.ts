import { controlRoutes } from '../api/routes.js';
import { ControlServer } from '../api/server.js';
import type { Config } from '../config/schema.js';
import { PipelineLanes } from '../engine/lanes.js';
import { errorRecord } from '../errors/error.js';
import { createLog, type LogRoot } from '../host/log.js';
import { createNotifier } from '../host/sd-notify.js';
import { type Accelerator, probeAccelerator } from '../machine/accelerator.js';
import { collectMetrics } from '../metrics/collect.js';
import { MetricsServer } from '../metrics/server.js';
import type { NotifyEvent } from '../notifications/event.js';
import { Notifications } from '../notifications/notifications.js';
import { openQueue } from '../queue/queue.js';
import { lockDirectory, lockInstance } from '../queue/sqlite/instance-lock.js';
import { pipelineStages, runPipeline } from '../stages/pipeline.js';
import { probeSandbox } from '../tools/sandbox.js';
import { hyper2kvmVersion } from '../tools/versions.js';
import { Admission } from './admission.js';
import { prepareDirectories } from './directories.js';
import { Intake } from './intake.js';
import { Board } from './live-progress.js';
import { Operations } from './operations.js';
import { recover } from './recovery.js';
import { reloaded } from './reload.js';
import { Sweeper } from './sweeper.js';
import { Supervision } from './systemd.js';
import { statusLine } from './views.js';
import { Worker } from './worker.js';

export interface DaemonOptions {
  /** Reads the configuration again, for SIGHUP. Without it a reload changes nothing. */
  reload?: () => Config;
  log?: LogRoot;
}

export interface Daemon {
  /** Stops claiming, ends what runs (it resumes at the next start), gives everything back. Resolves when all is quiet. */
  stop(): Promise<void>;
  reload(): void;
}

/**
 * Builds the service's parts and starts them in order; resolves when it is ready. When a part cannot start, those before it are stopped again and its error
 * is thrown: `config.extra-stage`, `daemon.already-running`, `daemon.directory`, `queue.unusable`, `queue.newer-schema`, `api.socket`, `api.metrics`.
 */
export async function startDaemon(initial: Config, options: DaemonOptions = {}): Promise<Daemon> {
  let config = initial;
  const current = () => config;
  const startedAt = new Date().toISOString();
  const version = hyper2kvmVersion();
  const log = options.log ?? createLog({ level: config.log.level, form: config.log.format });
  const logger = log.logger;
  const notifier = createNotifier({
    env: process.env,
    onFailure: (err) => logger.warn({ err }, 'systemd-notify failed, systemd was told without it'),
  });
  // What was started, stopped in reverse.
  const started: (() => void | Promise<void>)[] = [];
  const stop = async () => {
    for (const end of started.splice(0).reverse()) {
      try {
        await end();
      } catch (err) {
        // The parts below it still have to be stopped.
        logger.error({ err }, 'part did not stop cleanly');
      }
    }
  };

  try {
    const stageNames = (await pipelineStages(config)).map(({ name }) => name);
    await prepareDirectories(config);
    started.push(lockInstance(`${config.state.database}.lock`, config.state.database).release);
    const workLock = lockDirectory(config.spool.work);
    if (workLock === 'unsupported')
      logger.warn({ directory: config.spool.work }, 'work cannot be locked on this filesystem');
    else started.push(workLock.release);
    const queue = openQueue(config.state.database);
    started.push(() => queue.close());
    await recover(config, queue, logger);
    const sweeper = new Sweeper(current, queue, logger);
    await sweeper.sweep();

    const board = new Board();
    const notifications = new Notifications({ outbox: queue.outbox, config: current, log: logger });
    const notify = (event: NotifyEvent) => notifications.record(event);
    const admission = new Admission(queue, config.spool.work, logger, notify);
    const lanes = new PipelineLanes(config.workers);
    let accelerator: Accelerator | null = null;
    const worker: Worker = new Worker({
      config: current,
      queue,
      lanes,
      board,
      log,
      admission,
      notify,
      runPipeline,
      onJobEnd: () => intake.poke(),
    });
    const intake = new Intake({ config: current, queue, admission, log: logger, onJob: () => worker.kick() });
    const operations = new Operations({
      queue,
      board,
      admission,
      worker,
      config: current,
      waiting: () => intake.waiting(),
      stageNames,
      status: () => ({ version, startedAt, jobSlots: config.workers.jobs, lanes: lanes.load(), accelerator }),
      wake: () => {
        worker.kick();
        intake.poke();
      },
    });
    const metrics = () => collectMetrics({ queue, config: current, status: () => operations.status() });
    const server = new ControlServer(config.control.socket, controlRoutes(operations, metrics), logger);
    const supervision = new Supervision({
      notifier,
      statusLine: () => statusLine(operations.status()),
      ping: queue.ping,
      log: logger,
      env: process.env,
    });

    // First here, so last when the daemon stops.
    started.push(() => supervision.stop());
    notifications.start();
    started.push(() => notifications.stop());
    await server.start();
    started.push(() => server.stop());
    if (config.metrics.listen !== '') {
      const metricsServer = new MetricsServer(config.metrics.listen, metrics, logger);
      await metricsServer.start();
      started.push(() => metricsServer.stop());
    }
    sweeper.start();
    started.push(() => sweeper.stop());
    worker.start();
    started.push(() => worker.stop());
    intake.start();
    started.push(() => intake.stop());
    const probe = new AbortController();
    void probeAccelerator({ signal: probe.signal }).then(
      (found) => {
        accelerator = found;
        logger.info({ accelerator: found.kind, reason: found.reason }, 'accelerator found');
      },
      (err) => {
        if (!probe.signal.aborted) logger.warn({ err }, 'accelerator could not be probed');
      },
    );
    started.push(() => probe.abort());
    void probeSandbox().then(({ kind, reason }) => {
      const level = kind === 'none' ? 'warn' : 'info';
      logger[level]({ sandbox: kind, reason }, 'sandbox of the tools found');
    });
    logger.info({ version, incoming: config.spool.incoming, socket: config.control.socket }, 'daemon ready');
    supervision.start();
    started.push(() => supervision.stopping());
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    async stop() {
      logger.info('daemon stopping');
      await stop();
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
        logger.error(
          { code, error: message, advice },
          'configuration not reloaded, the old one stays in force',
        );
      }
      notifier.ready();
    },
  };
}

/** The `daemon` command: runs until SIGTERM or SIGINT; SIGHUP reloads. A second SIGTERM or SIGINT ends it at once (every job stays resumable). */
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
