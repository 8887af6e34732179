import type { Logger } from 'pino';
import { controlRoutes } from '../api/routes.js';
import { ControlServer } from '../api/server.js';
import type { Config } from '../config/schema.js';
import { PipelineLanes } from '../engine/lanes.js';
import type { PipelineRequest } from '../engine/types.js';
import type { LogRoot } from '../host/log.js';
import type { Notifier } from '../host/sd-notify.js';
import { type Accelerator, probeAccelerator } from '../machine/accelerator.js';
import { collectMetrics } from '../metrics/collect.js';
import { MetricsServer } from '../metrics/server.js';
import type { NotifyEvent } from '../notifications/event.js';
import { Notifications } from '../notifications/notifications.js';
import { lockDirectory, lockInstance } from '../queue/sqlite/instance-lock.js';
import type { QueueStore } from '../queue/store.js';
import { productSources } from '../sources/registry.js';
import { landHere } from '../sources/remote/land-here.js';
import { type Release, releaseHere } from '../sources/remote/release.js';
import { landByUnit, releaseByUnit } from '../sources/remote/unit/client.js';
import { runPipeline } from '../stages/pipeline.js';
import { probeSandbox } from '../tools/sandbox.js';
import { Admission } from './admission.js';
import { prepareDirectories } from './directories.js';
import { createEvents, withEvents } from './events.js';
import { Intake } from './intake.js';
import { JobLocks } from './job-locks.js';
import type { Part } from './lifecycle.js';
import { LiveProgress } from './live-progress.js';
import { Operations } from './operations.js';
import { recover } from './recovery.js';
import { Releaser } from './releaser.js';
import { Sweeper } from './sweeper.js';
import { SystemdStatus } from './systemd.js';
import { statusLine } from './views.js';
import { Worker } from './worker.js';

/** Returns the parts that must be ready before the queue is opened: directories and locks. */
export function hostParts(config: Config, log: Logger): Part[] {
  const { spool, state } = config;
  return [
    { name: 'directories', start: () => prepareDirectories(config) },
    lockPart('instance lock', () => lockInstance(`${state.database}.lock`, state.database)),
    lockPart('work directory lock', () => {
      const lock = lockDirectory(spool.work);
      if (lock !== 'unsupported') return lock;
      log.warn({ directory: spool.work }, 'the work directory cannot be locked on this filesystem');
      return null;
    }),
  ];
}

function lockPart(name: string, take: () => { release(): void } | null): Part {
  let lock: { release(): void } | null = null;
  return {
    name,
    start() {
      lock = take();
    },
    stop: () => lock?.release(),
  };
}

interface Composition {
  /** The current configuration. */
  config(): Config;
  /** Open, and used by this daemon only. */
  queue: QueueStore;
  log: LogRoot;
  notifier: Notifier;
  version: string;
  /** The pipeline's stages, in order. */
  stageNames: readonly string[];
}

/** Returns all parts that work on the queue, in the order of their start. Nothing is started yet. */
export function daemonParts({ config, log, notifier, version, stageNames, ...given }: Composition): Part[] {
  const { logger } = log;
  const initial = config();
  const startedAt = new Date().toISOString();
  const events = createEvents();
  const queue = withEvents(given.queue, events);
  const locks = new JobLocks();
  const progress = new LiveProgress(events);
  const notifying = new Notifications({ outbox: queue.outbox, config, log: logger });
  const notifications = (event: NotifyEvent) => notifying.messages(event);
  const admission = new Admission({ queue, work: initial.spool.work, log: logger, events, notifications });
  const lanes = new PipelineLanes(initial.workers);
  const accelerator = acceleratorProbe(logger);
  const sweeper = new Sweeper({ config, queue, locks, log: logger });
  // The daemon has no network: another unit fetches for it.
  const { socket } = initial.remote;
  const sources = productSources(socket === '' ? landHere(queue.undo) : landByUnit(socket, queue.undo));
  const release: Release = socket === '' ? releaseHere : releaseByUnit(socket);
  const releaser = new Releaser({ config, queue, events, release, log: logger });
  const worker: Worker = new Worker({
    ...{ config, queue, locks, lanes, progress, log, admission, notifications },
    runPipeline: (request: PipelineRequest) => runPipeline(request, sources),
    onJobEnd: () => intake.poke(),
  });
  const intake = new Intake({ config, queue, admission, events, log: logger, onJob: () => worker.kick() });
  const operations = new Operations({
    ...{ config, queue, events, progress, admission, worker, releaser, stageNames },
    waiting: () => intake.waiting(),
    facts: () => ({
      ...{ version, startedAt },
      jobSlots: initial.workers.jobs,
      lanes: lanes.load(),
      accelerator: accelerator.found(),
    }),
    wake() {
      worker.kick();
      intake.poke();
    },
  });
  const metrics = () => collectMetrics({ queue, config, status: () => operations.status() });
  const server = new ControlServer(initial.control.socket, controlRoutes(operations, metrics), logger);
  const systemd = new SystemdStatus({
    notifier,
    statusLine: async () => statusLine(await operations.status()),
    ping: queue.ping,
    log: logger,
    env: process.env,
  });

  events.on('job:changed', ({ state }) => {
    if (state !== 'queued' && state !== 'running') notifying.wake();
  });
  events.on('queue:paused', () => notifying.wake());
  events.on('queue:resumed', () => notifying.wake());

  return [
    { name: 'recovery', start: () => recover(initial, queue, logger) },
    { name: 'first sweep', start: () => sweeper.sweep() },
    // Started last and stopped last: systemd is kept informed until the end.
    { name: 'systemd until the end', start() {}, stop: () => systemd.stop() },
    { name: 'notifications', start: () => notifying.start(), stop: () => notifying.stop() },
    { name: 'control socket', start: () => server.start(), stop: () => server.stop() },
    ...metricsParts(initial, metrics, logger),
    { name: 'sweeper', start: () => sweeper.start(), stop: () => sweeper.stop() },
    { name: 'releaser', start: () => releaser.start(), stop: () => releaser.stop() },
    { name: 'worker', start: () => worker.start(), stop: () => worker.stop() },
    { name: 'intake', start: () => intake.start(), stop: () => intake.stop() },
    accelerator.part,
    { name: 'sandbox probe', start: () => void logSandbox(logger) },
    {
      name: 'systemd',
      start() {
        const { spool, control } = initial;
        logger.info({ version, incoming: spool.incoming, socket: control.socket }, 'daemon ready');
        systemd.start();
      },
      stop: () => systemd.stopping(),
    },
  ];
}

function metricsParts({ metrics }: Config, collect: () => Promise<string>, log: Logger): Part[] {
  if (metrics.listen === '') return [];
  const server = new MetricsServer(metrics.listen, collect, log);
  return [{ name: 'metrics', start: () => server.start(), stop: () => server.stop() }];
}

async function logSandbox(log: Logger): Promise<void> {
  const { kind, reason } = await probeSandbox();
  log[kind === 'none' ? 'warn' : 'info']({ sandbox: kind, reason }, 'sandbox of the tools found');
}

/** Probes for KVM in the background; `found` returns null until the result is known. */
function acceleratorProbe(log: Logger): { part: Part; found(): Accelerator | null } {
  const abort = new AbortController();
  let found: Accelerator | null = null;
  const probe = async () => {
    try {
      found = await probeAccelerator({ signal: abort.signal });
      log.info({ accelerator: found.kind, reason: found.reason }, 'accelerator found');
    } catch (err) {
      if (!abort.signal.aborted) log.warn({ err }, 'accelerator could not be probed');
    }
  };
  return {
    part: { name: 'accelerator probe', start: () => void probe(), stop: () => abort.abort() },
    found: () => found,
  };
}
