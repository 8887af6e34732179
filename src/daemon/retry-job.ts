import { join } from 'node:path';
import { jobOptions } from '../config/load.js';
import type { Config } from '../config/schema.js';
import { Hyper2kvmError } from '../errors/error.js';
import { exists } from '../files/exists.js';
import type { Job } from '../model/job.js';
import { STAGE_NAMES } from '../model/stage-names.js';
import type { QueueStore } from '../queue/store.js';
import { readEntryState } from '../spool/entry-state.js';
import type { Admission } from './admission.js';
import { badRequest, findJob, wrongState } from './find-job.js';
import { spaceNeeds } from './space-needs.js';

export interface RetrySettings {
  /** The stage to start again at; by default the one after the last valid checkpoint. */
  from?: string | undefined;
  /** Dotted key to value; overrides the job.toml. */
  set?: Record<string, string> | undefined;
}

/** Queues a failed or cancelled job again. If two requests come at the same moment, one is refused. */
export async function retryJob(
  id: string,
  { from, set }: RetrySettings,
  { queue, admission, config }: { queue: QueueStore; admission: Admission; config: Config },
): Promise<Job> {
  const seen = await findJob(queue, id);
  if (seen.state !== 'failed' && seen.state !== 'cancelled')
    throw wrongState(seen, 'only a failed or cancelled job can be retried');
  if (from !== undefined && !STAGE_NAMES.some((stage) => stage === from))
    throw badRequest(`${from} is not a stage`, `The stages are ${STAGE_NAMES.join(', ')}.`);
  const overrides = { ...seen.overrides, ...set };
  // An invalid override is the caller's mistake now, not a failure of the job later.
  const options = jobOptions(config, null, { overrides });
  const { directory } = seen;
  if (directory === null || !(await exists(join(directory, 'source'))))
    throw new Hyper2kvmError('queue.source-gone', `${directory ?? seen.job}/source no longer exists`);
  const state = await readEntryState(directory, 'source');
  const states = state === null ? [] : [state];
  // Space is checked as for a new drop.
  const needs = await spaceNeeds(states, directory, options.config);
  const reservedBytes = await admission.bytesToReserve(states, needs);
  const job = await queue.jobs.retry(seen, { overrides, reservedBytes, from });
  if (job === null) throw wrongState(await findJob(queue, seen.job), 'it has just changed');
  return job;
}
