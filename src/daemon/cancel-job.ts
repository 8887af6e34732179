import type { Config } from '../config/schema.js';
import { errorRecord, Hyper2kvmError } from '../errors/error.js';
import { exists } from '../files/exists.js';
import type { Job } from '../model/job.js';
import type { QueueStore } from '../queue/store.js';
import { decisionOf, type Verdict } from './decide.js';
import { findJob, wrongState } from './find-job.js';

/**
 * Decides that a job ends cancelled, in failed/ with its source. The decision is in the queue when this
 * resolves: neither a start at the same moment nor a killed daemon can lose it. What is running must still be
 * stopped, with `reason`.
 */
export async function cancelJob(
  id: string,
  queue: QueueStore,
  config: Config,
): Promise<{ job: Job; reason: Hyper2kvmError }> {
  for (let seen = await findJob(queue, id); ; seen = await findJob(queue, seen.job)) {
    if (seen.state !== 'queued' && seen.state !== 'running')
      throw wrongState(seen, 'it has already finished');
    const reason = new Hyper2kvmError(
      'job.cancelled',
      seen.startedAt === null ? 'the job was cancelled before it started' : 'the job was cancelled',
    );
    const verdict: Verdict = { outcome: 'cancelled', error: errorRecord(reason), failedStage: null };
    if (await isUndelivered(seen)) verdict.instead = 'converted';
    const job = await queue.jobs.cancel(seen, decisionOf(seen, verdict, config));
    if (job !== null) return { job, reason };
    // The job was started, decided or put back at this moment, so its new state is read again.
  }
}

/**
 * Whether the job is a finished conversion that waits for space in archive/ and is not delivered yet. One
 * that is being published is stopped by its signal.
 */
async function isUndelivered({ state, outcome, directory }: Job): Promise<boolean> {
  if (state !== 'queued' || outcome !== 'converted') return false;
  return directory === null || !(await exists(directory));
}
