import type { JobOptions } from '../config/schema.js';
import { errorRecord, isFullDisk } from '../errors/error.js';
import { exists } from '../files/exists.js';
import type { Job } from '../model/job.js';
import { decide } from './decide.js';
import { finishJob } from './finish.js';
import type { JobRun } from './process-job.js';
import { waitForSpace } from './wait-for-space.js';

/**
 * Publishes and commits what is decided. A successful job whose result cannot be published fails. If the
 * daemon stops, the disk is full, or the error is transient, publishing is repeated instead.
 */
export async function publishResult(job: Job, options: JobOptions, run: JobRun): Promise<void> {
  const { config, queue, lease, signal, notifications, progress } = run;
  const log = run.log.logger.child({ job: job.job });
  progress.show(job.job, 'publish', 'publishing');
  try {
    await finishJob({ config, queue, lease, job, options, signal, log, notifications });
  } catch (thrown) {
    const error = errorRecord(thrown);
    if (signal.aborted && errorRecord(signal.reason).code === 'daemon.stopping') {
      await queue.runs.requeue(lease);
      return;
    }
    if (isFullDisk(error)) {
      await waitForSpace(job, run, { error, cause: thrown, failedStage: null }, log);
      return;
    }
    log.error({ err: thrown, code: error.code }, 'result could not be published');
    // After a transient error, or one after the result appeared, the same outcome is published again and not
    // replaced.
    const isPublished = job.directory !== null && (await exists(job.directory));
    if (job.outcome !== 'converted' || error.retryable || isPublished) throw thrown;
    const outcome = signal.aborted ? 'cancelled' : 'failed';
    const decided = await decide(job, run, { outcome, error, failedStage: null, instead: job.outcome });
    await publishResult(decided, options, run);
  }
}
