import type { JobOptions } from '../config/schema.js';
import { type ErrorRecord, Hyper2kvmError } from '../errors.js';
import type { StageRecord } from '../pipeline/run-types.js';
import type { Report } from './report.js';

/** What both endings of a job are told. Times are ISO 8601 in UTC. */
export interface OutcomeRequest {
  /** The job's id and the VM's (safe) name. */
  job: string;
  vm: string;
  /** The job's scratch directory: the stages' outputs name files relative to it. */
  workDirectory: string;
  options: JobOptions;
  /** Stage outputs by stage name, as the runner returns them. */
  outputs: Record<string, unknown>;
  records: readonly StageRecord[];
  startedAt: string;
  finishedAt: string;
  /** Where the drop is now, and the names of it in there. */
  source: { directory: string; entries: readonly string[] };
}

export interface BundleRequest extends OutcomeRequest {
  /** Where the bundle is built; on the filesystem of `workDirectory`. Whatever an earlier try left there is replaced. */
  bundleDirectory: string;
  /** Absolute path that the bundle will have once published: the domain's disks are named there. */
  finalDirectory: string;
  /** `archive` moves `source.directory` as a whole to `source/` in the bundle; `delete` and `leave` do not touch it. */
  keepSource: 'archive' | 'delete' | 'leave';
}

export interface FailureRequest extends OutcomeRequest {
  /** Where `reason.json`, `report.json`, `report.html`, `plan.*` and `boot/` are put. Created when missing. The source is the caller's to move. */
  failedDirectory: string;
  /** Of an interrupted `assembleBundle`: what it had moved is moved back first. */
  bundleDirectory?: string;
  error: ErrorRecord;
  failedStage: string | null;
}

/**
 * Builds the whole bundle, fsynced, ready to be published by one rename. What is big (disks, source) is moved by rename and last;
 * a call after a kill first moves it back and builds the bundle anew. Returns what report.json holds.
 */
export async function assembleBundle(request: BundleRequest): Promise<Report> {
  throw new Hyper2kvmError('report.not-ready', `the bundle of ${request.vm} cannot be built yet`);
}

/** Writes the files that explain a failure, fsynced. Safe to call again. Returns what report.json holds. */
export async function writeFailure(request: FailureRequest): Promise<Report> {
  throw new Hyper2kvmError('report.not-ready', `the report of ${request.vm} cannot be built yet`);
}
