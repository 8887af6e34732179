import type { Logger } from 'pino';
import { type ErrorRecord, errorRecord } from '../errors/error.js';
import { noSpace, spaceOf, usedBytes } from '../files/space.js';
import type { Job } from '../model/job.js';
import { decide } from './decide.js';
import { jobPaths, writesTo } from './paths.js';
import type { JobRun } from './process-job.js';

/** After ENOSPC, this much more than was free is required. */
const MORE_THAN_WAS_FREE_BYTES = 64 * 1024 ** 2;

/** How many times in a row a disk may be full although everything that the job needs is free. */
const MAX_FULL_DISKS = 5;

/**
 * Queues a job that met a full disk until more space is free than there was on the filesystem that it writes
 * to. If everything that it needs is free, another disk was full (the database's), or there is space again:
 * then `cause` is thrown, and the job is retried after a pause. A job that meets a full disk again and again
 * writes more than is known of it, and fails.
 */
export async function waitForSpace(
  job: Job,
  run: JobRun,
  thrown: { error: ErrorRecord; cause: unknown; failedStage: string | null },
  log: Logger,
): Promise<Job> {
  const { config, queue, lease } = run;
  const directory = writesTo(job, config);
  const space = await spaceOf(directory);
  const { free } = space;
  const isPublishing = job.outcome !== null && job.reopen === null;
  const needed = isPublishing
    ? await usedBytes(jobPaths(config, job.job).work)
    : ((await queue.jobs.get(job.job)) ?? job).reservedBytes;
  if (free >= needed) {
    if (isPublishing || run.putBacks(job.job) < MAX_FULL_DISKS) throw thrown.cause;
    const error = errorRecord(noSpace(directory, needed, space));
    return decide(job, run, { outcome: 'failed', error, failedStage: thrown.failedStage });
  }
  const waitsForBytes = Math.min(free + MORE_THAN_WAS_FREE_BYTES, needed);
  log.warn(
    { code: thrown.error.code, directory, free_bytes: free, waits_for_bytes: waitsForBytes },
    'disk full, the job is waiting for space',
  );
  return queue.runs.requeue(lease, { waitsForBytes });
}
