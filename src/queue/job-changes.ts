import { Hyper2kvmError } from '../errors/error.js';
import type { Job } from '../model/job.js';
import type { StageRecord } from '../model/stage-record.js';
import type { Claim } from './claim.js';
import type { Decision, Lease, Parking, RetryRequest } from './store.js';

/**
 * Pure functions for each step of a job's life: implementations of `QueueStore` only read, apply and write.
 * They also set `updatedAt`.
 */
export function newJob(claim: Claim, entries: readonly string[], now: string): Job {
  return {
    job: claim.job,
    vm: claim.vm,
    dropName: claim.dropName,
    entries: [...entries].sort(),
    optionsFile: claim.optionsFile,
    overrides: {},
    refused: claim.refused,
    state: 'queued',
    owner: null,
    token: 0,
    priority: 0,
    reservedBytes: claim.reservedBytes,
    stage: null,
    waitsForBytes: null,
    crashes: 0,
    warm: claim.isWarm === true ? 'preparing' : null,
    delta: null,
    reopen: null,
    outcome: null,
    directory: null,
    error: null,
    failedStage: null,
    records: [],
    result: { plan: null, boot: null, sourceId: null },
    createdAt: now,
    updatedAt: now,
    startedAt: null,
    finishedAt: null,
  };
}

/** True for a warm job that waits for its cutover. One whose outcome is decided only needs publishing. */
export function isParked({ state, warm, outcome }: Pick<Job, 'state' | 'warm' | 'outcome'>): boolean {
  return state === 'queued' && warm === 'parked' && outcome === null;
}

/**
 * Returns the started job, or null if it may not start. A job whose outcome is decided may start even if the
 * queue is paused: it only needs publishing, which frees space.
 */
export function started(job: Job, owner: string, isPaused: boolean, now: string): Job | null {
  if (job.state !== 'queued' || isParked(job) || (isPaused && job.outcome === null)) return null;
  const running: Job = { ...job, state: 'running', owner, token: job.token + 1 };
  if (job.outcome !== null) return running;
  return { ...running, startedAt: job.startedAt ?? now, error: null, waitsForBytes: null };
}

export function leaseOf({ job, owner, token }: Job): Lease {
  if (owner === null) throw new Error(`job ${job} is not running`);
  return { job, owner, token };
}

/** Returns the job if the lease still entitles its holder to work on it. Throws `queue.lease-lost`. */
export function held(job: Job | null, lease: Lease): Job {
  if (job !== null && isHeld(job, lease)) return job;
  throw new Hyper2kvmError('queue.lease-lost', `job ${lease.job} no longer belongs to this worker`);
}

export function isHeld(job: Job, { owner, token }: Lease): boolean {
  return job.state === 'running' && job.owner === owner && job.token === token;
}

export function recorded(job: Job, record: StageRecord): Job {
  const others = job.records.filter(({ stage }) => stage !== record.stage);
  const records = [...others, { ...record }];
  return { ...job, records, crashes: record.status === 'completed' ? 0 : job.crashes };
}

/** A daemon that dies now interrupts another run than those before: the job is not what kills them. */
export function advanced(job: Job): Job {
  return { ...job, crashes: 0 };
}

/** True if the stage really ran and counts in the totals. */
export function hasRun({ status }: StageRecord): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled';
}

export function reserved(job: Job, bytes: number, atLeast: boolean): Job {
  return { ...job, reservedBytes: atLeast ? Math.max(bytes, job.reservedBytes) : bytes };
}

/** If the job was cancelled meanwhile, it keeps the directory of its result. */
export function reopened(job: Job): Job {
  return { ...job, reopen: null, directory: job.outcome === null ? null : job.directory };
}

export function leftInFailed(job: Job): Job {
  return { ...job, reopen: null, directory: job.reopen };
}

export function decided(job: Job, { instead, ...decision }: Decision): Job {
  if (job.outcome === (instead ?? null)) return { ...job, ...decision, crashes: 0 };
  const { error, failedStage, result } = decision;
  return {
    ...job,
    failedStage: job.failedStage ?? failedStage,
    // The same error, but with the stage's failure among its causes.
    error: error !== null && error.code === job.error?.code ? error : job.error,
    result: result ?? job.result,
  };
}

/**
 * Returns the record for the checkpoint of a stage that did not accept its own output; null for any other
 * decision.
 */
export function refusedRecord(job: Job, { outcome, failedStage, instead }: Decision): StageRecord | null {
  if (job.outcome !== (instead ?? null) || outcome !== 'failed') return null;
  return job.records.find(({ stage }) => stage === failedStage) ?? null;
}

/** Returns null if the job has changed since the caller read it. */
export function cancelled(job: Job, seen: Job, decision: Decision): Job | null {
  const isSame = job.state === seen.state && job.token === seen.token && job.outcome === seen.outcome;
  return isSame && isActive(job) ? decided(job, decision) : null;
}

function isActive({ state }: Job): boolean {
  return state === 'queued' || state === 'running';
}

export function requeued(job: Job, change: { waitsForBytes?: number } = {}): Job {
  return { ...job, ...change, state: 'queued', owner: null };
}

/** `writtenBytes` of the reservation are on disk already. If the job was cancelled meanwhile, it ends that way. */
export function parked(job: Job, { result, writtenBytes }: Parking): Job {
  const reservedBytes = Math.max(0, job.reservedBytes - writtenBytes);
  return { ...requeued(job), warm: 'parked', stage: null, crashes: 0, reservedBytes, result };
}

/** Returns null if the job is not parked. `claim`: the drop with what changed since the base. */
export function cutOver(job: Job, claim: Pick<Claim, 'job' | 'reservedBytes'> | null): Job | null {
  if (!isParked(job)) return null;
  const over: Job = { ...job, warm: 'cutover' };
  if (claim === null) return over;
  return { ...over, delta: claim.job, reservedBytes: job.reservedBytes + claim.reservedBytes };
}

export function deltaTaken(job: Job, entries: readonly string[]): Job {
  return { ...job, entries: [...entries].sort(), delta: null };
}

export function interrupted(job: Job): Job {
  return { ...requeued(job), crashes: job.crashes + 1 };
}

export function finished(job: Job): Job {
  if (job.outcome === null) throw new Error(`job ${job.job} has no outcome yet`);
  const over = { owner: null, stage: null, reservedBytes: 0, waitsForBytes: null, reopen: null };
  return { ...job, ...over, state: job.outcome };
}

/** Returns null if the job has changed since the caller read it. */
export function retried(job: Job, seen: Job, { overrides, reservedBytes }: RetryRequest): Job | null {
  if (isActive(job) || job.state !== seen.state || job.token !== seen.token) return null;
  return {
    ...job,
    state: 'queued',
    overrides,
    warm: job.warm === 'parked' ? 'preparing' : job.warm,
    reopen: job.directory,
    reservedBytes,
    waitsForBytes: reservedBytes,
    // Read again: the job.toml may have been corrected in the failed directory.
    refused: /^(job-options|remote)\./.test(job.refused?.code ?? '') ? null : job.refused,
    outcome: null,
    error: null,
    failedStage: null,
    finishedAt: null,
  };
}
