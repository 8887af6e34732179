import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '../config/schema.js';
import { isErrorCode } from '../errors/errno.js';
import { errorRecord, Hyper2kvmError } from '../errors/error.js';
import { syncPath, writeDurable } from '../files/durable.js';
import { REMOVED, tryToRemove } from '../files/remove.js';
import type { Job } from '../model/job.js';
import type { QueueStore } from '../queue/store.js';
import { ORIGINALS } from '../spool/claim.js';
import type { JobLocks } from './job-locks.js';
import { freePath } from './paths.js';

/** What cannot be removed (another user's directory, an immutable file) may be removable later. */
const INTERVAL_MS = 10 * 60 * 1000;
/** The form of `newJobId`. Any other name in work/ is not ours (`lost+found`). */
const JOB_ID = /^[0-9a-hjkmnp-tv-z]{13}$/;

/**
 * Removes what finished jobs left behind: scratch in work/, originals of copied drops in incoming, failed
 * directories that were retried. Because the database may have been restored from an older backup, a drop
 * without a known result is never removed but moved to failed/, by name. A job is locked while its directory
 * is examined and renamed, so that a retry cannot put the drop there in between.
 */
export class Sweeper {
  readonly #config: () => Config;
  readonly #queue: QueueStore;
  readonly #locks: JobLocks;
  readonly #log: Logger;
  /** Directories that were logged already. */
  readonly #logged = new Set<string>();
  #timer: NodeJS.Timeout | null = null;
  #sweeping: Promise<void> = Promise.resolve();

  constructor(parts: { config(): Config; queue: QueueStore; locks: JobLocks; log: Logger }) {
    this.#config = parts.config;
    this.#queue = parts.queue;
    this.#locks = parts.locks;
    this.#log = parts.log;
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#sweeping = this.sweep().catch((err: unknown) =>
        this.#log.error({ err }, 'leftovers could not be swept'),
      );
    }, INTERVAL_MS);
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#sweeping;
  }

  async sweep(): Promise<void> {
    const { incoming, work, failed } = this.#config().spool;
    for (const name of await namesIn(work)) await this.#sweepWork(name);
    for (const name of await namesIn(incoming)) {
      const job = ORIGINALS.exec(name)?.[1];
      if (job !== undefined) await this.#sweepOriginals(join(incoming, name), job);
    }
    for (const date of await namesIn(failed))
      if (/^\d{4}-\d\d-\d\d$/.test(date))
        for (const name of await namesIn(join(failed, date)))
          if (REMOVED.test(name)) await this.#remove(join(failed, date, name));
  }

  async #sweepWork(name: string): Promise<void> {
    const directory = join(this.#config().spool.work, name);
    if (REMOVED.test(name)) return this.#remove(directory);
    const release = this.#locks.tryToHold(name);
    // The job is running.
    if (release === null) return;
    try {
      const spare = await this.#takeAway(directory, name);
      if (spare !== null) await this.#remove(spare);
    } finally {
      release();
    }
  }

  /**
   * Returns the new name of a directory that is no longer needed; null if it is in use or was moved to
   * failed/.
   */
  async #takeAway(directory: string, name: string): Promise<string | null> {
    // Claims are read before jobs: a claim becomes a job, never the other way round.
    if (await this.#isBeingClaimed(name)) return null;
    // A claim becomes a job or its delta, and the directory goes before the job forgets it.
    if (await this.#queue.jobs.isAwaited(name)) return null;
    const job = await this.#queue.jobs.get(name);
    if (job?.state === 'queued' || job?.state === 'running') return null;
    const isSpare = job !== null && (!holdsDrop(directory) || hasResult(job));
    if (!isSpare) {
      await this.#setAside(directory, name, job);
      return null;
    }
    const removed = join(this.#config().spool.work, `.removing-${name}`);
    try {
      renameSync(directory, removed);
      return removed;
    } catch (err) {
      this.#logOnce(directory, 'leftovers cannot be removed, retrying later', err);
      return null;
    }
  }

  async #isBeingClaimed(job: string): Promise<boolean> {
    return (await this.#queue.claims.pending()).some((claim) => claim.job === job);
  }

  /**
   * Removes originals whose copy is in the job's directory in work/ or in its result, or was moved to
   * failed/.
   */
  async #sweepOriginals(directory: string, job: string): Promise<void> {
    if (await this.#isBeingClaimed(job)) return;
    if ((await this.#queue.jobs.get(job)) !== null) return this.#remove(directory);
    this.#logOnce(directory, 'originals of an unknown job: left alone');
  }

  async #setAside(directory: string, name: string, job: Job | null): Promise<void> {
    const { failed } = this.#config().spool;
    if ((job === null && !JOB_ID.test(name)) || !holdsDrop(directory))
      return this.#logOnce(directory, 'unknown directory in work: left alone');
    const at = new Date().toISOString();
    const day = join(failed, at.slice(0, 10));
    const target = join(day, `${job?.vm ?? 'unknown'}-${name}-recovered`);
    const error = new Hyper2kvmError(
      'queue.unknown-job',
      'the queue knows no result of this drop: its database is older than the work directory',
    );
    const reason = { job: name, vm: job?.vm ?? null, stage: null, ...errorRecord(error), failed_at: at };
    try {
      mkdirSync(day, { recursive: true, mode: 0o750 });
      const place = freePath(target);
      renameSync(directory, place);
      await writeDurable(join(place, 'reason.json'), `${JSON.stringify(reason, null, 2)}\n`);
      await syncPath(place);
      await syncPath(day);
      this.#log.warn(
        { directory: place, code: error.code },
        'drop without a known result was moved to failed/',
      );
    } catch (err) {
      // To another filesystem it would be copied, for hours: it is safe where it is.
      this.#logOnce(directory, 'drop without a known result: left in work', err);
    }
  }

  async #remove(directory: string): Promise<void> {
    const err = await tryToRemove(directory);
    if (err !== null) this.#logOnce(directory, 'leftovers cannot be removed, retrying later', err);
  }

  #logOnce(directory: string, message: string, err?: unknown): void {
    if (this.#logged.has(directory)) return;
    this.#logged.add(directory);
    this.#log.warn(err === undefined ? { directory } : { directory, err }, message);
  }
}

/** True if the drop, or what may be its only copy, is still in the job's directory. */
function holdsDrop(directory: string): boolean {
  return ['source', 'source.copying', 'bundle/source', 'failure/source'].some((name) =>
    existsSync(join(directory, name)),
  );
}

/** If the drop was deleted after its conversion, as configured, the bundle is the result. */
function hasResult({ state, directory }: Job): boolean {
  if (directory === null || !existsSync(directory)) return false;
  return state === 'converted' || existsSync(join(directory, 'source'));
}

/** Lists a directory if it exists; incoming may be an unmounted mount point. */
async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isErrorCode(error, 'ENOENT', 'ENOTDIR', 'ESTALE')) return [];
    throw error;
  }
}
