import type { ErrorRecord } from '../../errors/error.js';
import type { Job, JobResult, Outcome, QueueState, WarmPhase } from '../../model/job.js';
import type { StageRecord } from '../../model/stage-record.js';

/** A row of `jobs`. */
export interface JobRow {
  job: string;
  vm: string;
  drop_name: string;
  entries: string;
  options_file: string | null;
  overrides: string;
  refused: string | null;
  state: QueueState;
  owner: string | null;
  token: number;
  priority: number;
  reserved_bytes: number;
  stage: string | null;
  waits_for_bytes: number | null;
  crashes: number;
  warm: WarmPhase | null;
  delta: string | null;
  reopen: string | null;
  outcome: Outcome | null;
  directory: string | null;
  error: string | null;
  failed_stage: string | null;
  records: string;
  summary: string;
  created_at: string;
  updated_at: string;
  started_at: string | null;
  finished_at: string | null;
}

export function jobOf(row: JobRow): Job {
  return {
    job: row.job,
    vm: row.vm,
    dropName: row.drop_name,
    entries: JSON.parse(row.entries) as string[],
    optionsFile: row.options_file,
    overrides: JSON.parse(row.overrides) as Record<string, string>,
    refused: parsed<ErrorRecord>(row.refused),
    state: row.state,
    owner: row.owner,
    token: row.token,
    priority: row.priority,
    reservedBytes: row.reserved_bytes,
    stage: row.stage,
    waitsForBytes: row.waits_for_bytes,
    crashes: row.crashes,
    warm: row.warm,
    delta: row.delta,
    reopen: row.reopen,
    outcome: row.outcome,
    directory: row.directory,
    error: parsed<ErrorRecord>(row.error),
    failedStage: row.failed_stage,
    records: JSON.parse(row.records) as StageRecord[],
    result: resultOf(JSON.parse(row.summary)),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
  };
}

/** Older daemons wrote no result, or a boot without warnings. */
function resultOf({ plan = null, boot = null, sourceId = null }: Partial<JobResult>): JobResult {
  return { plan, boot: boot === null ? null : { ...boot, warnings: boot.warnings ?? [] }, sourceId };
}

function parsed<T>(text: string | null): T | null {
  return text === null ? null : (JSON.parse(text) as T);
}

export function rowOf(job: Job): JobRow {
  return {
    job: job.job,
    vm: job.vm,
    drop_name: job.dropName,
    entries: JSON.stringify(job.entries),
    options_file: job.optionsFile,
    overrides: JSON.stringify(job.overrides),
    refused: job.refused === null ? null : JSON.stringify(job.refused),
    state: job.state,
    owner: job.owner,
    token: job.token,
    priority: job.priority,
    reserved_bytes: job.reservedBytes,
    stage: job.stage,
    waits_for_bytes: job.waitsForBytes,
    crashes: job.crashes,
    warm: job.warm,
    delta: job.delta,
    reopen: job.reopen,
    outcome: job.outcome,
    directory: job.directory,
    error: job.error === null ? null : JSON.stringify(job.error),
    failed_stage: job.failedStage,
    records: JSON.stringify(job.records),
    summary: JSON.stringify(job.result),
    created_at: job.createdAt,
    updated_at: job.updatedAt,
    started_at: job.startedAt,
    finished_at: job.finishedAt,
  };
}
