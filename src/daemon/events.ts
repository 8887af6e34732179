import { EventEmitter } from 'node:events';
import type { Job } from '../model/job.js';
import type { QueueStore } from '../queue/store.js';
import type { PauseReason } from './admission.js';
import type { WaitingView } from './drop-obstacles.js';
import type { JobProgress } from './live-progress.js';

/**
 * The daemon's events, emitted where they happen, after they are in the queue. Each one carries the whole new
 * state of its subject, so that whoever misses one only needs the next.
 */
export interface DaemonEvents {
  /** A job is new or has changed. */
  'job:changed': [job: Job];
  'job:progress': [job: string, progress: JobProgress];
  /** A drop in incoming is new, or waits for something else than before. */
  'drop:waiting': [drop: WaitingView];
  /** A drop is no longer in incoming: it became a job or was removed. */
  'drop:gone': [name: string];
  'queue:paused': [reason: PauseReason];
  'queue:resumed': [reason: PauseReason];
  'queue:draining': [];
}

export type EventBus = EventEmitter<DaemonEvents>;

export function createEvents(): EventBus {
  // One listener for each client that follows.
  return new EventEmitter<DaemonEvents>().setMaxListeners(0);
}

/** Returns the same queue, which emits an event for every job that it changes. */
export function withEvents(queue: QueueStore, events: EventBus): QueueStore {
  const { jobs, runs, claims } = queue;
  const emitting =
    <Args extends unknown[], T extends Job | null>(write: (...args: Args) => Promise<T>) =>
    async (...args: Args): Promise<T> => {
      const job = await write(...args);
      if (job !== null) events.emit('job:changed', job);
      return job;
    };
  return {
    ...queue,
    jobs: {
      ...jobs,
      setPriority: emitting(jobs.setPriority),
      cancel: emitting(jobs.cancel),
      retry: emitting(jobs.retry),
      cutOver: emitting(jobs.cutOver),
    },
    runs: {
      ...runs,
      async start(id) {
        const started = await runs.start(id);
        if (started !== null) events.emit('job:changed', started.job);
        return started;
      },
      enterStage: emitting(runs.enterStage),
      recordStage: emitting(runs.recordStage),
      endStages: emitting(runs.endStages),
      reopened: emitting(runs.reopened),
      leftInFailed: emitting(runs.leftInFailed),
      decide: emitting(runs.decide),
      park: emitting(runs.park),
      deltaTaken: emitting(runs.deltaTaken),
      requeue: emitting(runs.requeue),
      finish: emitting(runs.finish),
    },
    claims: { ...claims, commit: emitting(claims.commit) },
  };
}
