import type { Config } from '../config/schema.js';
import type { ErrorRecord } from '../errors/error.js';
import type { Job, JobResult, Outcome } from '../model/job.js';
import type { Decision } from '../queue/store.js';
import { freePath, resultDirectory } from './paths.js';
import type { JobRun } from './process-job.js';

/** How a job ends, before its directory is chosen. */
export interface Verdict {
  outcome: Outcome;
  error: ErrorRecord | null;
  failedStage: string | null;
  result?: JobResult;
  /** As in `Decision`. */
  instead?: Outcome;
}

/**
 * Records the outcome and its directory in the queue before anything of it is on disk. The first decision
 * stands: a job that was cancelled a moment ago does not become a converted one. Only a result that could not
 * be published is decided again (`instead`).
 */
export function decide(
  job: Job,
  { config, queue, lease }: Pick<JobRun, 'config' | 'queue' | 'lease'>,
  verdict: Verdict,
): Promise<Job> {
  return queue.runs.decide(lease, decisionOf(job, verdict, config));
}

/** Returns the decision with the directory of the result. */
export function decisionOf(job: Job, verdict: Verdict, config: Config): Decision {
  const finishedAt = new Date().toISOString();
  const directory = resultDirectory(config, job, verdict.outcome === 'converted', finishedAt);
  return {
    ...verdict,
    finishedAt,
    // An existing directory of that name is another result, which an older database does not know, unless it
    // is the one that is being taken back.
    directory: directory === job.reopen ? directory : freePath(directory),
  };
}
