import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config/schema.js';
import type { Job } from '../model/job.js';

/** Where a job's files are while it runs and before they are published. */
export interface JobPaths {
  /** `work/<job>`. */
  work: string;
  /** The drop while the job runs. */
  source: string;
  /** The finished VM before it is published. */
  bundle: string;
  /** The failed VM before it is published. */
  failure: string;
  /** Every line about this job from `debug` on, as NDJSON; published with the result. */
  log: string;
}

export const LOG_NAME = 'job.log';
/** In a failed directory: what `retry` continues with. */
export const CHECKPOINT_NAME = 'checkpoint';

export function jobPaths(config: Config, job: string): JobPaths {
  const work = join(config.spool.work, job);
  return {
    work,
    source: join(work, 'source'),
    bundle: join(work, 'bundle'),
    failure: join(work, 'failure'),
    log: join(work, LOG_NAME),
  };
}

/** `archive/2026-01-31/web01-<job>` or `failed/…`; `finishedAt` is ISO 8601 in UTC. */
export function resultDirectory(config: Config, job: Job, converted: boolean, finishedAt: string): string {
  const root = converted ? config.spool.archive : config.spool.failed;
  return join(root, finishedAt.slice(0, 10), `${job.vm}-${job.job}`);
}

/** Returns the path, or the first free one of `path-2`, `path-3`, …. */
export function freePath(path: string): string {
  for (let number = 1; ; number += 1) {
    const candidate = number === 1 ? path : `${path}-${number}`;
    if (!existsSync(candidate)) return candidate;
  }
}

/**
 * Returns the directory on whose filesystem a job writes: its work directory, also when a failed directory is
 * taken back, or that of its result once its outcome is decided.
 */
export function writesTo({ outcome, reopen }: Job, { spool }: Config): string {
  if (outcome === null || reopen !== null) return spool.work;
  return outcome === 'converted' ? spool.archive : spool.failed;
}
