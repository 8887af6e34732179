import type { ErrorRecord } from '../errors/error.js';
import type { StageRecord } from './stage-record.js';

export type Outcome = 'converted' | 'failed' | 'cancelled';
export type QueueState = 'queued' | 'running' | Outcome;

/**
 * How far a warm job is, whose base was dropped while the VM still ran. `preparing`: its base is examined and
 * converted. `parked`: it is queued, and not started before its cutover. `cutover`: it runs to its end.
 */
export type WarmPhase = 'preparing' | 'parked' | 'cutover';

/**
 * Kept from a run beside its checkpoints: for `list` and `show`, which open no report, and for the archive.
 */
export interface JobResult {
  /** Number of planned operations, by fixer. */
  plan: Record<string, number> | null;
  boot: BootSummary | null;
  /** `sourceId` of the converted drop, which must be unchanged when it is archived. */
  sourceId: string | null;
}

/** A boot test as shown by `list`, `show` and notifications. */
export interface BootSummary {
  /** `booted`, `failed` or `inconclusive`. */
  verdict: string;
  level: string;
  seconds: number;
  accelerator: string;
  /** What did not come up in a guest that booted. */
  warnings: { code: string; message: string }[];
}

/** One VM in the queue. Times are ISO 8601 in UTC, sizes in bytes. */
export interface Job {
  job: string;
  /** Safe for file names. */
  vm: string;
  /** The drop's name in incoming. */
  dropName: string;
  /** Names inside `work/<job>/source`. */
  entries: string[];
  /** Path of the job.toml inside `work/<job>/source`; null without one. */
  optionsFile: string | null;
  /** From `retry --set`: dotted key to value, overriding the job.toml. */
  overrides: Record<string, string>;
  /** The error that the job fails with; its drop must not be opened. */
  refused: ErrorRecord | null;
  state: QueueState;
  /** Who runs it; null if it is not running. */
  owner: string | null;
  /** How often it was started; writes of an earlier run are refused. */
  token: number;
  /** Higher values run first. */
  priority: number;
  /** Space reserved for it on the filesystem of the work directory. */
  reservedBytes: number;
  stage: string | null;
  /** After a full disk, how much must be free before it is started. */
  waitsForBytes: number | null;
  /** How many daemons died while it ran, since the last stage that it completed. */
  crashes: number;
  /** Null for a job that is not warm. */
  warm: WarmPhase | null;
  /** The directory in work/ of a claimed drop that the next run adds to this job's own: what changed since the base. */
  delta: string | null;
  /** For `retry`: a failed directory that is moved back to work/ before it runs. */
  reopen: string | null;
  /** How it ends and where, known before it is published. */
  outcome: Outcome | null;
  directory: string | null;
  error: ErrorRecord | null;
  failedStage: string | null;
  /** Of the last run. */
  records: StageRecord[];
  result: JobResult;
  createdAt: string;
  updatedAt: string;
  startedAt: string | null;
  finishedAt: string | null;
}
