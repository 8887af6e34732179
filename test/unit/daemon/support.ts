import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Config, configSchema } from '../../../src/config/schema.js';
import { Admission } from '../../../src/daemon/admission.js';
import { createEvents, type EventBus, withEvents } from '../../../src/daemon/events.js';
import { JobLocks } from '../../../src/daemon/job-locks.js';
import { LiveProgress } from '../../../src/daemon/live-progress.js';
import { type OperationParts, Operations } from '../../../src/daemon/operations.js';
import type { JobParts } from '../../../src/daemon/process-job.js';
import { Worker } from '../../../src/daemon/worker.js';
import { PipelineLanes } from '../../../src/engine/lanes.js';
import { createLog } from '../../../src/host/log.js';
import type { NotifyEvent } from '../../../src/notifications/event.js';
import type { NewNotification } from '../../../src/queue/outbox.js';
import type { QueueStore } from '../../../src/queue/store.js';

/** A spool's directories in `directory`, and a configuration that names them. */
export function spoolConfig(directory: string, tables: Record<string, unknown> = {}): Config {
  const at = (name: string) => join(directory, name);
  for (const name of ['incoming', 'work', 'archive', 'failed']) mkdirSync(at(name), { recursive: true });
  return configSchema.parse({
    spool: { incoming: at('incoming'), work: at('work'), archive: at('archive'), failed: at('failed') },
    ...tables,
  });
}

/** An event as one notification: its key and its receiver do not matter. */
export function oneNotification(event: NotifyEvent): NewNotification[] {
  return [{ key: crypto.randomUUID(), target: 'test', event: event.event, body: JSON.stringify(event) }];
}

/** The daemon's parts around a queue, without intake; `runPipeline` stands for the stages. */
export function daemonParts(
  given: QueueStore,
  config: Config,
  {
    runPipeline = () => Promise.reject(new Error('it was not to be started')),
    notifications = () => [],
    waiting = () => [],
  }: Partial<Pick<JobParts, 'runPipeline' | 'notifications'> & Pick<OperationParts, 'waiting'>> = {},
) {
  const events: EventBus = createEvents();
  const queue = withEvents(given, events);
  const locks = new JobLocks();
  const progress = new LiveProgress(events);
  const log = createLog({ level: 'fatal', writer: () => {} });
  const admission = new Admission({
    ...{ queue, work: config.spool.work, log: log.logger, events, notifications },
  });
  const worker = new Worker({
    ...{ queue, locks, progress, log, admission, notifications, runPipeline },
    config: () => config,
    lanes: new PipelineLanes(config.workers),
    onJobEnd: () => {},
  });
  const operations = new Operations({
    releaser: { release: async () => [] },
    ...{ queue, events, progress, admission, worker, stageNames: [] },
    config: () => config,
    waiting,
    facts: () => ({ version: '1.2.3', startedAt: '', jobSlots: 1, lanes: {}, accelerator: null }),
    wake: () => worker.kick(),
  });
  return { events, queue, locks, progress, log, admission, worker, operations };
}
