import { join } from 'node:path';
import type { Control, JobQuery } from '../api/control.js';
import type { DaemonEvent } from '../api/events.js';
import { jobLogLines } from '../api/job-log.js';
import type { JobDetail, JobState, JobSummary, ReleaseView, Status } from '../api/protocol.js';
import { JOB_STATES } from '../api/protocol.js';
import type { Config } from '../config/schema.js';
import type { Hyper2kvmError } from '../errors/error.js';
import type { Job, QueueState } from '../model/job.js';
import { printable } from '../text/escape-terminal.js';
import { cancelJob } from './cancel-job.js';
import { eventStream } from './event-stream.js';
import type { EventBus } from './events.js';
import { findBase } from './find-base.js';
import { badRequest, findJob, wrongState } from './find-job.js';
import { jobPaths, LOG_NAME } from './paths.js';
import type { Releaser } from './releaser.js';
import { type RetrySettings, retryJob } from './retry-job.js';
import {
  type DaemonFacts,
  jobDetail,
  jobSummaries,
  jobSummary,
  statusView,
  type ViewParts,
  waitingSummary,
} from './views.js';
import type { Worker } from './worker.js';

export interface OperationParts extends ViewParts {
  config(): Config;
  events: EventBus;
  worker: Pick<Worker, 'cancel'>;
  releaser: Pick<Releaser, 'release'>;
  facts(): DaemonFacts;
  /** Wakes the intake and the worker, because a drop or a job may be able to start now. */
  wake(): void;
}

/**
 * The operations of the control socket, one method for each route. Errors are the user's: `api.no-job`,
 * `api.ambiguous`, `api.wrong-state`, `api.bad-request`.
 */
export class Operations implements Control {
  readonly #parts: OperationParts;

  constructor(parts: OperationParts) {
    this.#parts = parts;
  }

  status(): Promise<Status> {
    return statusView(this.#parts, this.#parts.facts());
  }

  async list(query: JobQuery): Promise<JobSummary[]> {
    const state = query.state === undefined ? undefined : jobState(query.state);
    const since = query.since === undefined ? undefined : timeOf(query.since);
    const filter = {
      ...(state === undefined || state === 'waiting' ? {} : { states: [queueState(state)] }),
      ...(query.name === undefined ? {} : { name: query.name }),
      ...(since === undefined ? {} : { since }),
    };
    const jobs =
      state === 'waiting' ? [] : await jobSummaries(await this.#parts.queue.jobs.list(filter), this.#parts);
    // A parked job is a queued one in the queue.
    if (state !== undefined && state !== 'waiting') return jobs.filter((job) => job.state === state);
    const waiting = this.#parts
      .waiting()
      .map(waitingSummary)
      .filter(
        ({ vm, drop }) => query.name === undefined || vm.includes(query.name) || drop.includes(query.name),
      );
    return [...jobs, ...waiting];
  }

  async show(id: string): Promise<JobDetail> {
    return jobDetail(await findJob(this.#parts.queue, id), this.#parts);
  }

  /** Yields a job's log wherever it is now, with `follow` until the job is done. */
  async *logs(id: string, follow: boolean, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { queue, config } = this.#parts;
    const { job } = await findJob(queue, id);
    yield* jobLogLines({
      async locate() {
        const directory = (await queue.jobs.get(job))?.directory ?? null;
        const inWork = jobPaths(config(), job).log;
        return directory === null ? [inWork] : [inWork, join(directory, LOG_NAME)];
      },
      isDone: async () => !['queued', 'running'].includes((await queue.jobs.get(job))?.state ?? ''),
      follow,
      signal,
    });
  }

  events(signal: AbortSignal): AsyncIterable<DaemonEvent> {
    const { events, facts } = this.#parts;
    return eventStream(events, facts().version, (job) => jobSummary(job, this.#parts), signal);
  }

  /**
   * Queues a finished job that did not convert, from its last checkpoint or, with `from`, from that stage.
   */
  async retry(id: string, settings: RetrySettings): Promise<JobSummary> {
    const { config, queue, admission, wake } = this.#parts;
    const job = await retryJob(id, settings, { queue, admission, config: config() });
    wake();
    return jobSummary(job, this.#parts);
  }

  /**
   * Cancels a job: if it is running, its tools are stopped; if it is queued, it never starts. Either way it
   * ends in failed/ with the source.
   */
  async cancel(id: string): Promise<JobSummary> {
    const { queue, config, worker, wake } = this.#parts;
    const { job, reason } = await cancelJob(id, queue, config());
    worker.cancel(job.job, reason);
    wake();
    return jobSummary(job, this.#parts);
  }

  /**
   * Lets a parked job run to its end, with what was dropped since its base. Its VM must be off: whatever changes
   * from now on is not in the result.
   */
  async cutOver(id: string): Promise<JobSummary> {
    const { queue, wake } = this.#parts;
    const seen = await findJob(queue, id);
    await this.#refuseBeforeDelta(seen);
    const job = await queue.jobs.cutOver(seen.job);
    if (job === null) throw notParked(await findJob(queue, seen.job));
    wake();
    return jobSummary(job, this.#parts);
  }

  /** Throws `api.wrong-state` if what has changed since the job's base was dropped and has not joined it yet. */
  async #refuseBeforeDelta(job: Job): Promise<void> {
    const { queue, config, waiting } = this.#parts;
    const { incoming, work } = config().spool;
    const find = { queue, signal: new AbortController().signal };
    const claims = await queue.claims.pending();
    const claimed = claims.find(({ joins }) => joins === job.job)?.dropName;
    if (claimed !== undefined) throw wrongState(job, joinsBySelf(claimed));
    for (const { drop } of waiting().map((view) => view.waiting)) {
      const base = await findBase(drop, incoming, work, find);
      if (base?.kind === 'parked' && base.job.job === job.job) throw wrongState(job, joinsBySelf(drop.name));
    }
  }

  async priority(id: string, priority: number): Promise<JobSummary> {
    const { queue, wake } = this.#parts;
    const job = await findJob(queue, id);
    if (!Number.isSafeInteger(priority) || Math.abs(priority) > 1_000_000) {
      throw badRequest(
        'the priority is not an integer between -1000000 and 1000000',
        'Higher values run first; the default is 0.',
      );
    }
    const changed = await queue.jobs.setPriority(job.job, priority);
    // The worker may be about to start another job.
    wake();
    return jobSummary(changed ?? job, this.#parts);
  }

  release(id?: string): Promise<ReleaseView[]> {
    return this.#parts.releaser.release(id);
  }

  async pause(): Promise<Status> {
    await this.#parts.admission.pause();
    return this.status();
  }

  async resume(): Promise<Status> {
    await this.#parts.admission.resume();
    this.#parts.wake();
    return this.status();
  }

  async drain(): Promise<Status> {
    this.#parts.admission.drain();
    return this.status();
  }
}

function queueState(state: Exclude<JobState, 'waiting'>): QueueState {
  return state === 'parked' ? 'queued' : state;
}

function joinsBySelf(drop: string): string {
  return `the drop ${printable(drop)} has what changed since its base, and cuts it over by itself`;
}

function notParked(job: Job): Hyper2kvmError {
  const isPreparing = job.warm === 'preparing' && (job.state === 'queued' || job.state === 'running');
  return wrongState(job, isPreparing ? 'its base is still being prepared' : 'it is not a parked warm job');
}

function jobState(text: string): JobState {
  const state = JOB_STATES.find((known) => known === text);
  if (state === undefined)
    throw badRequest(`${text} is not a state`, `The states are ${JOB_STATES.join(', ')}.`);
  return state;
}

function timeOf(text: string): string {
  const time = new Date(text);
  if (Number.isNaN(time.getTime()))
    throw badRequest(`${text} is not a valid time`, 'Times look like 2026-01-31 or 2026-01-31T12:00:00Z.');
  return time.toISOString();
}
