import type { NotifyEventName } from '../config/schema.js';
import type { Job } from '../model/job.js';

/** What notifications say about a job. Times are ISO 8601 in UTC. */
export interface JobFacts {
  job: string;
  vm: string;
  drop: string;
  /** The bundle, or the failed directory. */
  directory: string | null;
  started_at: string | null;
  finished_at: string | null;
  error: { code: string; message: string; advice: string; stage: string | null } | null;
  boot: Job['result']['boot'];
}

export type NotifyEvent =
  | { event: Extract<NotifyEventName, 'converted' | 'failed'>; job: JobFacts }
  | {
      event: Extract<NotifyEventName, 'paused' | 'resumed'>;
      queue: { reason: 'operator' | 'space'; directory?: string; missing_bytes?: number };
    };

export function jobFacts({ error, ...job }: Job): JobFacts {
  return {
    job: job.job,
    vm: job.vm,
    drop: job.dropName,
    directory: job.directory,
    started_at: job.startedAt,
    finished_at: job.finishedAt,
    error:
      error === null
        ? null
        : { code: error.code, message: error.message, advice: error.advice, stage: job.failedStage },
    boot: job.result.boot,
  };
}
