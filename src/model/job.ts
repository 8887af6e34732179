import type { ErrorRecord } from '../errors/error.js';
import type { StageRecord } from './stage-record.js';

export type Outcome = 'converted' | 'failed' | 'cancelled';
export type QueueState = 'queued' | 'running' | Outcome;

/** Kept of a run beside its checkpoints: for `list` and `show`, which open no report, and for the archive. */
export interface JobResult {
  /** Number of planned operations, by fixer. */
  plan: Record<string, number> | null;
  boot: BootSummary | null;
  /** Of the drop that was converted (`sourceId`): what is archived must still be that. */
  sourceId: string | null;
}

/** A boot test as `list`, `show` and notifications have it. */
export interface BootSummary {
  /** `booted`, `failed` or `inconclusive`. */
  verdict: string;
  level: string;
  seconds: number;
  accelerator: string;
  /** What did not come up in a guest that booted. */
  warnings: { code: string; message: string }[];
}

/** One VM in the queue. Times are ISO 8601 in UTC, sizes bytes. */
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
  /** Of `retry --set`: dotted key to value, over the job.toml. */
  overrides: Record<string, string>;
  /** The drop must not be opened: it fails with this. */
  refused: ErrorRecord | null;
  state: QueueState;
  /** Who runs it; null when nobody does. */
  owner: string | null;
  /** How often it was started: what an earlier run still writes is refused. */
  token: number;
  /** Higher first. */
  priority: number;
  /** Space promised to it on the filesystem of the work directory. */
  reservedBytes: number;
  stage: string | null;
  /** After a full disk: it is not started before this much is free. */
  waitsForBytes: number | null;
  /** Daemons that died while it ran, since the last stage that it completed. */
  crashes: number;
  /** A failed directory that is taken back to work/ before it runs: `retry`. */
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
