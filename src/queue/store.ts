import type { ErrorRecord } from '../errors/error.js';
import type { Job, JobResult, Outcome, QueueState } from '../model/job.js';
import type { Checkpoint, StageRecord } from '../model/stage-record.js';
import type { Claim } from './claim.js';
import type { NewNotification, Outbox } from './outbox.js';

/**
 * The queue: the truth about jobs, claims, checkpoints and undelivered notifications. An implementation is a
 * folder beside this file. Each method is one transaction, durable when its promise resolves. Between two
 * calls others may have changed anything, so what has to happen together is one method, and a method that
 * depends on what its caller has read says how it finds out that this is not true any more.
 */
export interface QueueStore {
  /** Whoever works on jobs through this store; the same after a restart. */
  readonly owner: string;
  readonly jobs: Jobs;
  readonly runs: Runs;
  readonly claims: Claims;
  readonly checkpoints: Checkpoints;
  readonly outbox: Outbox;
  readonly statistics: Statistics;
  readonly pause: Pause;
  /** Rejects when the database does not answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface JobFilter {
  states?: readonly QueueState[];
  /** Part of the VM's or the drop's name. */
  name?: string;
  /** Created at or after this time (ISO 8601). */
  since?: string;
}

/** What anybody may ask about jobs, and what a user may ask of one that he does not work on. */
export interface Jobs {
  get(id: string): Promise<Job | null>;
  /**
   * By id, by an unambiguous beginning of one, or the newest job of a VM; all ids that begin so otherwise.
   */
  find(text: string): Promise<Job[]>;
  /** Oldest first. */
  list(filter?: JobFilter): Promise<Job[]>;
  /** Queued jobs in the order in which they are to start, as they were when the first one was asked for. */
  queued(): AsyncIterable<Job>;
  counts(): Promise<Record<QueueState, number>>;
  /** Bytes promised to jobs that are not done, or with `running` only to those that run. */
  reservedBytes(options?: { running?: boolean; except?: string }): Promise<number>;
  /** Null where there is no such job. */
  setPriority(id: string, priority: number): Promise<Job | null>;
  /**
   * Decides how a job ends that is queued or running. `seen` is the job as the caller knows it: null when it
   * has moved on since, and nothing was changed. Whoever runs it has to be told to stop.
   */
  cancel(seen: Job, decision: Decision): Promise<Job | null>;
  /** Queues a job again that ended without a result; null when it has moved on since it was `seen`. */
  retry(seen: Job, request: RetryRequest): Promise<Job | null>;
}

export interface RetryRequest {
  overrides: Record<string, string>;
  reservedBytes: number;
  /** Forget the checkpoints of this stage and of those after it. */
  from?: string | undefined;
}

/**
 * The right to work on a running job. Every method of `Runs` and `Checkpoints` that takes one rejects with
 * `queue.lease-lost`, and changes nothing, when the job is not running under this token any more.
 */
export interface Lease {
  job: string;
  owner: string;
  /** A fencing token: higher with each start of the job. */
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
   * The outcome that this one replaces: of a result that cannot be published. By default only a job without
   * an outcome gets this one. The first decision stands; a later one only adds what it knows.
   */
  instead?: Outcome;
}

/** What is done about a job while it runs. */
export interface Runs {
  /**
   * Makes a queued job a running one, in the transaction that reads it. Null when it is not queued any more,
   * or when the queue is paused and its outcome is still open.
   */
  start(id: string): Promise<StartedJob | null>;
  /** Keeps the leases alive; returns those that are lost. */
  renew(leases: readonly Lease[]): Promise<Lease[]>;
  enterStage(lease: Lease, stage: string): Promise<Job>;
  /** Replaces the stage's record, and counts it if the stage really ran. */
  recordStage(lease: Lease, record: StageRecord): Promise<Job>;
  /** The records of the whole run. The answer has an outcome if the job was cancelled meanwhile. */
  endStages(lease: Lease, records: StageRecord[]): Promise<Job>;
  /**
   * Promises the job so many bytes, with `atLeast` no less than before. Resolves with what is promised to the
   * other running jobs.
   */
  reserve(lease: Lease, bytes: number, options?: { atLeast?: boolean }): Promise<number>;
  /** The drop is in the work directory again, or nowhere; the failed directory is gone. */
  reopened(lease: Lease): Promise<Job>;
  /** The drop stays in the failed directory, which is where the job ends. */
  leftInFailed(lease: Lease): Promise<Job>;
  decide(lease: Lease, decision: Decision): Promise<Job>;
  requeue(lease: Lease, change?: { waitsForBytes?: number }): Promise<Job>;
  /**
   * The decided outcome becomes the state, together with the notifications of that; the lease ends. `keep`:
   * what of the checkpoints is still of use.
   */
  finish(lease: Lease, keep: KeptCheckpoints, tell: (final: Job) => NewNotification[]): Promise<Job>;
  /** After a crash: what this owner left running is queued again, one crash more on its account. */
  requeueInterrupted(): Promise<Job[]>;
}

/** `records`: the outputs are in the report, and large. */
export type KeptCheckpoints = 'all' | 'records' | 'none';

/** The intents of claims, written before the first effect and gone with the last. */
export interface Claims {
  record(claim: Claim): Promise<void>;
  setPhase(job: string, phase: Claim['phase']): Promise<void>;
  pending(): Promise<Claim[]>;
  /** The claim becomes a queued job. `entries`: what really is in the source directory. */
  commit(claim: Claim, entries: readonly string[]): Promise<Job>;
  forget(job: string): Promise<void>;
}

export interface Checkpoints {
  /** In the order of the stages. */
  load(job: string): Promise<Checkpoint[]>;
  save(lease: Lease, checkpoint: Checkpoint): Promise<void>;
  /** Forgets `stage` and all after it. */
  truncate(lease: Lease, stage: string): Promise<void>;
}

/** What the metrics want of the queue beside its counts. */
export interface Statistics {
  stageTotals(): Promise<StageTotal[]>;
  /** Jobs by the verdict of their last boot. */
  boots(): Promise<{ verdict: string; count: number }[]>;
  /** When the longest-waiting job was queued (ISO 8601), or queued again; null when none waits. */
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

/** An operator's pause: it outlives a restart. */
export interface Pause {
  isOn(): Promise<boolean>;
  /** False when it was so already: then nobody is told. */
  set(on: boolean, tell: () => NewNotification[]): Promise<boolean>;
}
