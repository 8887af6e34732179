import { Hyper2kvmError } from '../errors/error.js';
import type { Job } from '../model/job.js';
import type { QueueStore } from '../queue/store.js';

/**
 * Finds a job by id, by an unambiguous prefix of one, or by a VM's name (its newest job). Errors:
 * `api.no-job`, `api.ambiguous`.
 */
export async function findJob(queue: QueueStore, id: string): Promise<Job> {
  const found = await queue.jobs.find(id);
  const [job, ...others] = found;
  if (job === undefined) {
    throw new Hyper2kvmError('api.no-job', `there is no job ${id}`);
  }
  if (others.length === 0) return job;
  const some = found.slice(0, 4).map((each) => each.job);
  throw new Hyper2kvmError('api.ambiguous', `${found.length} jobs begin with ${id}`, {
    facts: `It may be ${some.join(', ')}${found.length > some.length ? ', …' : ''}.`,
  });
}

export function wrongState(job: Job, why: string): Hyper2kvmError {
  return new Hyper2kvmError('api.wrong-state', `job ${job.job} is ${job.state}: ${why}`);
}

export function badRequest(message: string, advice: string): Hyper2kvmError {
  return new Hyper2kvmError('api.bad-request', message, { advice });
}
