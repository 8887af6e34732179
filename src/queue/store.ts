import type { ErrorRecord } from '../errors/error.js';
import type { Job, JobResult, Outcome, QueueState, WarmPhase } from '../model/job.js';
import type { Checkpoint, StageRecord } from '../model/stage-record.js';
import type { Claim } from './claim.js';
import type { NewNotification, Outbox } from './outbox.js';

/**
 * The queue, which is authoritative for jobs, claims, checkpoints and undelivered notifications. An
 * implementation is a folder beside this file. Each method is one transaction, durable when its promise
 * resolves. Between two calls others may change anything, so effects that must happen together are one
 * method, and a method that depends on what its caller has read detects if that has changed.
 */
export interface QueueStore {
  /** Identifies the process that works on jobs through this store; the same after a restart. */
  readonly owner: string;
  readonly jobs: Jobs;
  readonly runs: Runs;
  readonly claims: Claims;
  readonly checkpoints: Checkpoints;
  readonly outbox: Outbox;
  readonly statistics: Statistics;
  readonly pause: Pause;
  /** Rejects if the database does not answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface JobFilter {
  states?: readonly QueueState[];
  /** Part of the VM's or the drop's name. */
  name?: string;
  /** Created at or after this time (ISO 8601). */
  since?: string;
  /** Only warm jobs in these phases. */
  warm?: readonly WarmPhase[];
}

/** Queries about jobs, and changes that a user may request without holding a lease. */
export interface Jobs {
  get(id: string): Promise<Job | null>;
  /**
   * Finds a job by id, by an unambiguous prefix of one, or by the VM's name (its newest job); an ambiguous
   * prefix gives all matching jobs.
   */
  find(text: string): Promise<Job[]>;
  /** Oldest first. */
  list(filter?: JobFilter): Promise<Job[]>;
  /** Yields the queued jobs that may start, in that order, as of the time of the first request. */
  queued(): AsyncIterable<Job>;
  /** Parked jobs are not among the queued ones here. */
  counts(): Promise<Record<QueueState | 'parked', number>>;
  /** Returns the bytes reserved for unfinished jobs, or with `running` only for running ones. */
  reservedBytes(options?: { running?: boolean; except?: string }): Promise<number>;
  /** Returns null if there is no such job. */
  setPriority(id: string, priority: number): Promise<Job | null>;
  /**
   * Decides the outcome of a queued or running job. `seen` is the job as the caller knows it: returns null
   * and changes nothing if it has changed since. The process that runs it must be told to stop.
   */
  cancel(seen: Job, decision: Decision): Promise<Job | null>;
  /** Queues a job again that ended without a result; returns null if it has changed since it was `seen`. */
  retry(seen: Job, request: RetryRequest): Promise<Job | null>;
  /** Lets a parked job run to its end; returns null if it is not parked. */
  cutOver(id: string): Promise<Job | null>;
  /** Whether a job is still to take in the drop in this directory of work/. */
  isAwaited(delta: string): Promise<boolean>;
}

export interface RetryRequest {
  overrides: Record<string, string>;
  reservedBytes: number;
  /** Delete the checkpoints of this stage and of those after it. */
  from?: string | undefined;
}

/**
 * The right to work on a running job. Every method of `Runs` and `Checkpoints` that takes one rejects with
 * `queue.lease-lost`, and changes nothing, if the job is no longer running under this token.
 */
export interface Lease {
  job: string;
  owner: string;
  /** A fencing token: it increases with each start of the job. */
  token: number;
}

export interface StartedJob {
  job: Job;
  lease: Lease;
}

/** How a job ends and where, known before anything is published. */
export interface Decision {
  outcome: Outcome;
  /** Where the result will be. */
  directory: string;
  finishedAt: string;
  error: ErrorRecord | null;
  failedStage: string | null;
  result?: JobResult;
  /**
   * The outcome that this one replaces, for a result that cannot be published. By default only a job without
   * an outcome gets this one: the first decision stands, and a later one only adds information.
   */
  instead?: Outcome;
}

/** Changes to a job while it runs. */
export interface Runs {
  /**
   * Starts a queued job, in the transaction that reads it. Returns null if it is no longer queued, or if the
   * queue is paused and its outcome is still open.
   */
  start(id: string): Promise<StartedJob | null>;
  /** Extends the leases; returns those that are lost. */
  renew(leases: readonly Lease[]): Promise<Lease[]>;
  enterStage(lease: Lease, stage: string): Promise<Job>;
  /** Forgets the crashes so far, because the job gets further each time. */
  advanced(lease: Lease): Promise<Job>;
  /** Replaces the stage's record, and counts it if the stage really ran. */
  recordStage(lease: Lease, record: StageRecord): Promise<Job>;
  /** Saves the records of the whole run. The returned job has an outcome if it was cancelled meanwhile. */
  endStages(lease: Lease, records: StageRecord[]): Promise<Job>;
  /**
   * Reserves bytes for the job, with `atLeast` never fewer than before. Resolves with the bytes reserved for
   * the other running jobs.
   */
  reserve(lease: Lease, bytes: number, options?: { atLeast?: boolean }): Promise<number>;
  /**
   * Records that the drop is in the work directory again or no longer exists, and that the failed directory
   * is gone.
   */
  reopened(lease: Lease): Promise<Job>;
  /** Records that the drop stays in the failed directory, which becomes the job's final directory. */
  leftInFailed(lease: Lease): Promise<Job>;
  decide(lease: Lease, decision: Decision): Promise<Job>;
  /** Puts the job back into the queue, where it waits for its cutover. */
  park(lease: Lease, parking: Parking): Promise<Job>;
  /** Records that the job's delta is among its own drop, whose names are `entries`. */
  deltaTaken(lease: Lease, entries: readonly string[]): Promise<Job>;
  requeue(lease: Lease, change?: { waitsForBytes?: number }): Promise<Job>;
  /**
   * Turns the decided outcome into the state, together with its notifications, and ends the lease. `keep`
   * says which checkpoints are still needed.
   */
  finish(lease: Lease, keep: KeptCheckpoints, tell: (final: Job) => NewNotification[]): Promise<Job>;
  /** After a crash, queues again what this owner left running, and counts one more crash for each. */
  requeueInterrupted(): Promise<Job[]>;
}

/** What is kept of a warm job's first run, and how much of its reservation that run has written. */
export interface Parking {
  result: JobResult;
  writtenBytes: number;
}

/** `records` drops the outputs, which are large and in the report anyway. */
export type KeptCheckpoints = 'all' | 'records' | 'none';

/** The intents of claims, written before the first effect and removed after the last. */
export interface Claims {
  record(claim: Claim): Promise<void>;
  setPhase(job: string, phase: Claim['phase']): Promise<void>;
  pending(): Promise<Claim[]>;
  /**
   * Turns the claim into a queued job, or into the delta of the parked job that it joins. `entries`: what is
   * really in the source directory. Returns the job that will run.
   */
  commit(claim: Claim, entries: readonly string[]): Promise<Job>;
  forget(job: string): Promise<void>;
}

export interface Checkpoints {
  /** In the order of the stages. */
  load(job: string): Promise<Checkpoint[]>;
  save(lease: Lease, checkpoint: Checkpoint): Promise<void>;
  /** Deletes the checkpoints of `stage` and all after it. */
  truncate(lease: Lease, stage: string): Promise<void>;
}

/** What the metrics need from the queue beside its counts. */
export interface Statistics {
  stageTotals(): Promise<StageTotal[]>;
  /** Number of jobs by the verdict of their last boot. */
  boots(): Promise<{ verdict: string; count: number }[]>;
  /** Returns when the longest-waiting job was queued, or queued again (ISO 8601); null if none is waiting. */
  oldestQueued(): Promise<string | null>;
}

export interface StageTotal {
  stage: string;
  status: string;
  runs: number;
  seconds: number;
  bytes_read: number;
  bytes_written: number;
}

/** An operator's pause, which persists over restarts. */
export interface Pause {
  isOn(): Promise<boolean>;
  /** Returns false if nothing changed; nobody is notified then. */
  set(on: boolean, tell: () => NewNotification[]): Promise<boolean>;
}
