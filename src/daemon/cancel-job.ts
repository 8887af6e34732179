import type { Config } from '../config/schema.js';
import { errorRecord, Hyper2kvmError } from '../errors/error.js';
import { exists } from '../files/exists.js';
import type { Job } from '../model/job.js';
import type { QueueStore } from '../queue/store.js';
import { decisionOf, type Verdict } from './decide.js';
import { findJob, wrongState } from './find-job.js';

/**
 * Decides that a job ends cancelled, in failed/ with its source. The decision is in the queue when this
 * resolves: neither a start at the same moment nor a daemon that is killed loses it. What runs of the job is
 * still to be stopped, with `reason`.
 */
export async function cancelJob(
  id: string,
  queue: QueueStore,
  config: Config,
): Promise<{ job: Job; reason: Hyper2kvmError }> {
  for (let seen = await findJob(queue, id); ; seen = await findJob(queue, seen.job)) {
    if (seen.state !== 'queued' && seen.state !== 'running') throw wrongState(seen, 'it is done already');
    const reason = new Hyper2kvmError(
      'job.cancelled',
      seen.startedAt === null ? 'the job was cancelled before it started' : 'the job was cancelled',
    );
    const verdict: Verdict = { outcome: 'cancelled', error: errorRecord(reason), failedStage: null };
    if (await isUndelivered(seen)) verdict.instead = 'converted';
    const job = await queue.jobs.cancel(seen, decisionOf(seen, verdict, config));
    if (job !== null) return { job, reason };
    // It was started, decided or put back at this very moment: that is another job to cancel.
  }
}

/**
 * A finished conversion that waits for room in archive/ is not delivered yet. One that is being published
 * ends by its signal.
 */
async function isUndelivered({ state, outcome, directory }: Job): Promise<boolean> {
  if (state !== 'queued' || outcome !== 'converted') return false;
  return directory === null || !(await exists(directory));
}
