import { chmod, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { isErrorCode } from '../errors/errno.js';
import { errorRecord, Hyper2kvmError, isFullDisk } from '../errors/error.js';
import { syncPath } from '../files/durable.js';
import { exists } from '../files/exists.js';
import { removeOrHide, tryToRemove } from '../files/remove.js';
import { failpoint } from '../host/failpoint.js';
import type { Job } from '../model/job.js';
import { copyTree } from '../sources/local/copy-drop.js';
import { decide } from './decide.js';
import { CHECKPOINT_NAME, type JobPaths, jobPaths, LOG_NAME } from './paths.js';
import type { JobRun } from './process-job.js';
import { waitForSpace } from './wait-for-space.js';

/**
 * Takes back the drop of a job for `retry`. Resolves with the job once its drop is in work/ again, or with
 * the job queued again if the disk that the drop is copied to is full. The job ends if the source no longer
 * exists, if the disk is full again and again, or if it is cancelled meanwhile; it is not retried forever.
 */
export async function reopenJob(job: Job, run: JobRun): Promise<Job> {
  const { config, queue, lease } = run;
  const log = run.log.logger.child({ job: job.job });
  if (job.reopen === null) return job;
  try {
    await takeBack(job.reopen, jobPaths(config, job.job), run, log);
    return await queue.runs.reopened(lease);
  } catch (thrown) {
    const error = errorRecord(thrown);
    if (isFullDisk(error) && (await exists(join(job.reopen, 'source')))) {
      const full = { error, cause: thrown, failedStage: null };
      const after = job.outcome === null ? await waitForSpace(job, run, full, log) : job;
      // A partial copy is removed with the work directory.
      return after.state === 'queued' ? after : queue.runs.leftInFailed(lease);
    }
    if (error.code !== 'queue.source-gone') throw thrown;
    await queue.runs.reopened(lease);
    return decide({ ...job, reopen: null }, run, { outcome: 'failed', error, failedStage: null });
  }
}

/**
 * Moves source and checkpoints of a failed directory back to work/. Can be repeated. Errors:
 * `queue.source-gone`.
 */
async function takeBack(
  failed: string,
  paths: JobPaths,
  { config, signal }: JobRun,
  log: Logger,
): Promise<void> {
  await mkdir(paths.work, { recursive: true, mode: 0o700 });
  const kept = join(failed, CHECKPOINT_NAME);
  if (await exists(kept)) {
    for (const name of await readdir(kept)) await moveBack(join(kept, name), join(paths.work, name), signal);
  }
  failpoint('reopen.scratch-moved');
  const jobLog = join(failed, LOG_NAME);
  if (await exists(jobLog)) await moveBack(jobLog, paths.log, signal);
  if (!(await exists(paths.source))) await takeSource(join(failed, 'source'), paths, signal);
  failpoint('reopen.source-moved');
  await chmod(paths.source, 0o700);
  await syncPath(paths.work);
  // The job's directory itself may be new.
  await syncPath(config.spool.work);
  // Before the queue is updated: otherwise the remains could be taken for the published result of the job's
  // next failure on the same day.
  await removeOrHide(failed, log);
  failpoint('reopen.removed');
}

async function takeSource(from: string, paths: JobPaths, signal: AbortSignal): Promise<void> {
  if (!(await exists(from))) {
    throw new Hyper2kvmError('queue.source-gone', `${from} no longer exists`);
  }
  await moveBack(from, paths.source, signal);
}

/**
 * Moves to another filesystem: a durable copy appears by rename, and the original is removed with the rest.
 * If called again, it keeps an existing copy.
 */
async function moveBack(from: string, to: string, signal: AbortSignal): Promise<void> {
  if (await exists(to)) return;
  try {
    await rename(from, to);
  } catch (error) {
    if (!isErrorCode(error, 'EXDEV')) throw error;
    const copy = `${to}.copying`;
    await rm(copy, { recursive: true, force: true });
    await copyTree(from, copy, signal).catch(async (failure: unknown) => {
      await tryToRemove(copy);
      throw failure;
    });
    await rename(copy, to);
  }
}
