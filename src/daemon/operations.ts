import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Control, JobQuery } from '../api/control.js';
import { jobLogLines } from '../api/job-log.js';
import type { JobDetail, JobState, JobSummary, Status } from '../api/protocol.js';
import { JOB_STATES } from '../api/protocol.js';
import { jobOptions } from '../config/load.js';
import type { Config } from '../config/schema.js';
import { errorRecord, Hyper2kvmError } from '../errors/error.js';
import { exists } from '../files/exists.js';
import type { Job, QueueState } from '../model/job.js';
import { STAGE_NAMES } from '../model/stage-names.js';
import { lookAt } from '../spool/entry-state.js';
import { spaceNeeds } from './drop-needs.js';
import { jobPaths, LOG_NAME } from './paths.js';
import { decide } from './process-job.js';
import { jobDetail, jobSummary, statusView, type ViewParts, waitingSummary } from './views.js';
import type { Worker } from './worker.js';

export interface OperationParts extends ViewParts {
  config(): Config;
  worker: Worker;
  status(): Parameters<typeof statusView>[1];
  /** Something may be let in or started now. */
  wake(): void;
}

/** What the control socket offers, one method a line of the protocol. Errors are the user's: `api.no-job`, `api.ambiguous`, `api.wrong-state`, `api.bad-request`. */
export class Operations implements Control {
  readonly #parts: OperationParts;

  constructor(parts: OperationParts) {
    this.#parts = parts;
  }

  status(): Status {
    return statusView(this.#parts, this.#parts.status());
  }

  list(query: JobQuery): JobSummary[] {
    const state = query.state === undefined ? undefined : jobState(query.state);
    const since = query.since === undefined ? undefined : timeOf(query.since);
    const filter = {
      ...(state === undefined || state === 'waiting' ? {} : { states: [state] satisfies QueueState[] }),
      ...(query.name === undefined ? {} : { name: query.name }),
      ...(since === undefined ? {} : { since }),
    };
    const jobs =
      state === 'waiting'
        ? []
        : this.#parts.queue.jobs.list(filter).map((job) => jobSummary(job, this.#parts));
    if (state !== undefined && state !== 'waiting') return jobs;
    const waiting = this.#parts
      .waiting()
      .map(waitingSummary)
      .filter(
        ({ vm, drop }) => query.name === undefined || vm.includes(query.name) || drop.includes(query.name),
      );
    return [...jobs, ...waiting];
  }

  show(id: string): JobDetail {
    return jobDetail(this.find(id), this.#parts);
  }

  /** A job's log wherever it is now, with `follow` until the job is done. */
  logs(id: string, follow: boolean, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const { queue, config } = this.#parts;
    const { job } = this.find(id);
    return jobLogLines({
      locate: () => {
        const directory = queue.jobs.get(job)?.directory ?? null;
        const inWork = jobPaths(config(), job).log;
        return directory === null ? [inWork] : [inWork, join(directory, LOG_NAME)];
      },
      isDone: () => !['queued', 'running'].includes(queue.jobs.get(job)?.state ?? ''),
      follow,
      signal,
    });
  }

  /** A finished job that did not convert goes back into the queue, at its last checkpoint or, with `from`, at that stage. */
  async retry(
    id: string,
    request: { from?: string | undefined; set?: Record<string, string> | undefined },
  ): Promise<JobSummary> {
    const { queue, config } = this.#parts;
    const job = this.find(id);
    if (job.state !== 'failed' && job.state !== 'cancelled')
      throw wrongState(job, 'only a failed or cancelled job can be tried again');
    const { from } = request;
    if (from !== undefined && !STAGE_NAMES.some((stage) => stage === from)) {
      throw badRequest(`${from} is no stage`, `The stages are ${STAGE_NAMES.join(', ')}.`);
    }
    const overrides = { ...job.overrides, ...request.set };
    // An override that is wrong is the caller's mistake now, not a failure of the job later.
    const jobSettings = jobOptions(config(), null, { overrides });
    if (job.directory === null || !(await exists(`${job.directory}/source`))) {
      throw new Hyper2kvmError(
        'queue.source-gone',
        `${job.directory ?? job.job}/source is not there any more`,
        {
          advice: 'Drop the VM into incoming again.',
        },
      );
    }
    const look = await lookAt(job.directory, 'source');
    const looks = look === null ? [] : [look];
    // As a drop is admitted.
    const needs = await spaceNeeds(looks, job.directory, jobSettings.config);
    const reservedBytes = await this.#parts.admission.bytesToReserve(looks, needs);
    const queued = queue.transaction(() => {
      // Another `retry` was first: the job may be running by now.
      const now = this.find(job.job);
      if (now.state !== job.state || now.directory !== job.directory)
        throw wrongState(now, 'it was changed at the same moment');
      if (from !== undefined) queue.checkpoints(job.job).truncate(from);
      return queue.jobs.update(job.job, {
        state: 'queued',
        overrides,
        reopen: job.directory,
        reservedBytes,
        waitsForBytes: reservedBytes,
        // Read again: the job.toml may have been mended in the failed directory.
        refused: job.refused?.code.startsWith('job-options.') ? null : job.refused,
        outcome: null,
        error: null,
        failedStage: null,
        finishedAt: null,
      });
    });
    this.#parts.wake();
    return jobSummary(queued, this.#parts);
  }

  /**
   * Running: its tools are stopped. Queued: it never starts. Both end in failed/ with the source. The
   * decision is in the database when this returns: neither a start at the same moment nor a daemon that is
   * killed loses it.
   */
  cancel(id: string): JobSummary {
    const { queue, worker } = this.#parts;
    const { job, reason } = queue.transaction(() => {
      const job = this.find(id);
      if (job.state !== 'queued' && job.state !== 'running') throw wrongState(job, 'it is done already');
      const reason = cancelled(
        job.startedAt === null ? 'the job was cancelled before it started' : 'the job was cancelled',
      );
      const decision = { outcome: 'cancelled', error: errorRecord(reason), failedStage: null } as const;
      // A finished conversion that waits for room in archive/ is not delivered yet; one that is being
      // published ends by its signal.
      const waitsToBePublished =
        job.state === 'queued' && job.outcome === 'converted' && !existsSync(job.directory ?? '');
      decide(job, { config: this.#parts.config(), queue }, decision, waitsToBePublished ? 'converted' : null);
      return { job, reason };
    });
    worker.cancel(job.job, reason);
    this.#parts.wake();
    return jobSummary(this.find(job.job), this.#parts);
  }

  priority(id: string, priority: number): JobSummary {
    const job = this.find(id);
    if (!Number.isSafeInteger(priority) || Math.abs(priority) > 1_000_000) {
      throw badRequest(
        'priority is no integer between -1000000 and 1000000',
        'Higher goes first; 0 is the default.',
      );
    }
    const changed = this.#parts.queue.jobs.update(job.job, { priority });
    // The worker may be about to start another one.
    this.#parts.wake();
    return jobSummary(changed, this.#parts);
  }

  pause(): Status {
    this.#parts.admission.pause();
    return this.status();
  }

  resume(): Status {
    this.#parts.admission.resume();
    this.#parts.wake();
    return this.status();
  }

  drain(): Status {
    this.#parts.admission.drain();
    return this.status();
  }

  /** By id, an unambiguous beginning of one, or a VM's name (its newest job). */
  find(id: string): Job {
    const found = this.#parts.queue.jobs.find(id);
    const [job, ...others] = found;
    if (job === undefined) {
      throw new Hyper2kvmError('api.no-job', `there is no job ${id}`, {
        advice: '`hyper2kvm list` shows all of them.',
      });
    }
    if (others.length === 0) return job;
    throw new Hyper2kvmError('api.ambiguous', `${found.length} jobs begin with ${id}`, {
      advice: `Give more of the id: ${found
        .slice(0, 4)
        .map((each) => each.job)
        .join(', ')}`,
    });
  }
}

function jobState(text: string): JobState {
  const state = JOB_STATES.find((known) => known === text);
  if (state === undefined)
    throw badRequest(`${text} is no state`, `The states are ${JOB_STATES.join(', ')}.`);
  return state;
}

function timeOf(text: string): string {
  const time = new Date(text);
  if (Number.isNaN(time.getTime()))
    throw badRequest(`${text} is no time`, 'Times look like 2026-01-31 or 2026-01-31T12:00:00Z.');
  return time.toISOString();
}

function cancelled(message: string): Hyper2kvmError {
  return new Hyper2kvmError('job.cancelled', message, {
    advice: 'Its source is untouched. `hyper2kvm retry` starts it again.',
  });
}

function wrongState(job: Job, why: string): Hyper2kvmError {
  return new Hyper2kvmError('api.wrong-state', `job ${job.job} is ${job.state}: ${why}`, {
    advice: '`hyper2kvm show` tells what the job does.',
  });
}

function badRequest(message: string, advice: string): Hyper2kvmError {
  return new Hyper2kvmError('api.bad-request', message, { advice });
}
