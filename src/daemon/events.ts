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
  const told =
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
      setPriority: told(jobs.setPriority),
      cancel: told(jobs.cancel),
      retry: told(jobs.retry),
    },
    runs: {
      ...runs,
      async start(id) {
        const started = await runs.start(id);
        if (started !== null) events.emit('job:changed', started.job);
        return started;
      },
      enterStage: told(runs.enterStage),
      recordStage: told(runs.recordStage),
      endStages: told(runs.endStages),
      reopened: told(runs.reopened),
      leftInFailed: told(runs.leftInFailed),
      decide: told(runs.decide),
      requeue: told(runs.requeue),
      finish: told(runs.finish),
    },
    claims: { ...claims, commit: told(claims.commit) },
  };
}
