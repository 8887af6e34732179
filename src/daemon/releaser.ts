import type { Logger } from 'pino';
import type { ReleaseView } from '../api/protocol.js';
import type { Config } from '../config/schema.js';
import { errorRecord, Hyper2kvmError } from '../errors/error.js';
import type { Job } from '../model/job.js';
import type { QueueStore, UndoRecords } from '../queue/store.js';
import type { Release, Released } from '../sources/remote/release.js';
import type { EventBus } from './events.js';
import { findJob, wrongState } from './find-job.js';

interface ReleaserParts {
  config(): Config;
  queue: QueueStore;
  events: EventBus;
  release: Release;
  log: Logger;
}

type Record = Awaited<ReturnType<UndoRecords['all']>>[number];

const FIRST_WAIT_MS = 10_000;
const LONGEST_WAIT_MS = 60 * 60_000;

/**
 * Undoes what jobs made on other hosts, once they have ended: at each end of a job, at the start, and when an
 * operator asks for it. What cannot be undone is tried again, less and less often.
 */
export class Releaser {
  readonly #parts: ReleaserParts;
  readonly #abort = new AbortController();
  #timer: NodeJS.Timeout | null = null;
  #wait = FIRST_WAIT_MS;
  /** Nothing is undone twice at once. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: ReleaserParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#parts.events.on('job:changed', this.#onJob);
    this.#soon(0);
  }

  async stop(): Promise<void> {
    this.#parts.events.off('job:changed', this.#onJob);
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#abort.abort(new Hyper2kvmError('daemon.stopping', 'the daemon is stopping'));
    await this.#last;
  }

  /**
   * Undoes what is left of jobs that have ended, or of that one. Errors: `api.no-job`, `api.ambiguous`,
   * `api.wrong-state`.
   */
  async release(id?: string): Promise<ReleaseView[]> {
    const job = id === undefined ? null : await findJob(this.#parts.queue, id);
    if (job !== null && !isEnded(job)) throw wrongState(job, 'cancel it first');
    return this.#inTurn(job?.job ?? null);
  }

  readonly #onJob = (job: Job): void => {
    if (isEnded(job)) this.#soon(0);
  };

  #soon(wait: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#abort.signal.aborted) return;
    this.#timer = setTimeout(() => void this.#again(), wait);
  }

  async #again(): Promise<void> {
    const left = await this.#inTurn(null).then(
      (views) => views.some(({ error }) => error !== null),
      (err: unknown) => {
        if (!this.#abort.signal.aborted) this.#parts.log.error({ err }, 'undo records cannot be read');
        return true;
      },
    );
    if (!left) {
      this.#wait = FIRST_WAIT_MS;
      return;
    }
    this.#soon(this.#wait);
    this.#wait = Math.min(LONGEST_WAIT_MS, this.#wait * 2);
  }

  #inTurn(job: string | null): Promise<ReleaseView[]> {
    const result = this.#last.then(() => this.#release(job));
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #release(only: string | null): Promise<ReleaseView[]> {
    const { queue, log } = this.#parts;
    const views: ReleaseView[] = [];
    for (const [job, records] of Map.groupBy(await queue.undo.all(), (record) => record.job)) {
      if (only !== null && job !== only) continue;
      if (!(await this.#hasEnded(job))) continue;
      const released = await this.#undo(job, records);
      // Of a job that was begun again meanwhile, the records stay: it may have made the same once more.
      const isBegun = !(await this.#hasEnded(job));
      for (const { record, error } of released) {
        views.push({ job, ...record, error });
        const facts = { job, ...record };
        if (error === null) {
          if (!isBegun) await queue.undo.remove(job, [record]);
          log.info(facts, 'undone what the job made on another host');
        } else {
          const { code, message, advice } = error;
          log.warn(
            { ...facts, code: 'remote.left-behind', cause: code, error: message, advice },
            'not undone yet',
          );
        }
      }
    }
    return views;
  }

  /** Also of a job that is not known any more. */
  async #hasEnded(job: string): Promise<boolean> {
    const found = await this.#parts.queue.jobs.get(job);
    return found === null || isEnded(found);
  }

  async #undo(job: string, records: readonly Record[]): Promise<Released[]> {
    const { release, config, log } = this.#parts;
    const wanted = records.map(({ job: _, ...record }) => record);
    const { signal } = this.#abort;
    return release(job, wanted, { config: config(), signal, log }).catch((error: unknown) => {
      signal.throwIfAborted();
      return wanted.map((record) => ({ record, error: errorRecord(error) }));
    });
  }
}

function isEnded({ state }: Job): boolean {
  return state !== 'queued' && state !== 'running';
}
