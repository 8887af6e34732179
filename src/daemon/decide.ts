import type { Config } from '../config/schema.js';
import type { ErrorRecord } from '../errors/error.js';
import type { Job, JobResult, Outcome } from '../model/job.js';
import type { Decision } from '../queue/store.js';
import { freePath, resultDirectory } from './paths.js';
import type { JobRun } from './process-job.js';

/** How a job ends, before its place is chosen. */
export interface Verdict {
  outcome: Outcome;
  error: ErrorRecord | null;
  failedStage: string | null;
  result?: JobResult;
  /** Of `Decision`. */
  instead?: Outcome;
}

/**
 * The outcome and its place are in the queue before anything of it is on disk. The first decision stands: a
 * job that was cancelled a moment ago does not become a converted one. Only a result that could not be
 * published is decided again (`instead`).
 */
export function decide(
  job: Job,
  { config, queue, lease }: Pick<JobRun, 'config' | 'queue' | 'lease'>,
  verdict: Verdict,
): Promise<Job> {
  return queue.runs.decide(lease, decisionOf(job, verdict, config));
}

/** The decision with the directory of the result. */
export function decisionOf(job: Job, verdict: Verdict, config: Config): Decision {
  const finishedAt = new Date().toISOString();
  const directory = resultDirectory(config, job, verdict.outcome === 'converted', finishedAt);
  return {
    ...verdict,
    finishedAt,
    // What has its name and is not being taken back is another result, of which an older database knows
    // nothing.
    directory: directory === job.reopen ? directory : freePath(directory),
  };
}
