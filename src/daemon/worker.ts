import { backoff } from '../engine/retry.js';
import { errorRecord, Hyper2kvmError, isFullDisk } from '../errors/error.js';
import type { Job } from '../model/job.js';
import { writesTo } from './paths.js';
import { type JobRunParts, runJob } from './process-job.js';

export interface WorkerParts extends Omit<JobRunParts, 'config' | 'setBacks'> {
  config(): JobRunParts['config'];
  /** A place for a drop became free. */
  onJobEnd(): void;
}

const JOB_KEY = 'job ';

/** Starts queued jobs, by priority, as many at once as `workers.jobs` allows. */
export class Worker {
  readonly #parts: WorkerParts;
  readonly #running = new Map<string, { abort: AbortController; done: Promise<void> }>();
  /** Jobs that the daemon itself could not carry on (not their own failure): how often in a row, and until when they rest. */
  readonly #setBacks = new Map<string, { times: number; until: number }>();
  #timer: NodeJS.Timeout | null = null;
  #stopping = false;
  #filling: Promise<void> | null = null;
  #again = false;

  constructor(parts: WorkerParts) {
    this.#parts = parts;
  }

  get running(): number {
    return this.#running.size;
  }

  start(): void {
    // Space and rest end without an event.
    this.#timer = setInterval(() => this.kick(), 5_000);
    this.kick();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    const reason = new Hyper2kvmError('daemon.stopping', 'the daemon is stopping', {
      advice: 'The job resumes at the next start.',
    });
    for (const { abort } of this.#running.values()) abort.abort(reason);
    await this.#filling;
    for (const { abort } of this.#running.values()) abort.abort(reason);
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  /** Starts what may start. Calls while it decides lead to one more decision. */
  kick(): void {
    this.#again = true;
    // Not in this turn: who kicks may be what the decision asks.
    this.#filling ??= Promise.resolve()
      .then(() => this.#fillAll())
      .finally(() => {
        this.#filling = null;
      });
  }

  /** Ends what runs of the job: its outcome is decided already. */
  cancel(job: string, reason: Hyper2kvmError): void {
    this.#running.get(job)?.abort.abort(reason);
  }

  async #fillAll(): Promise<void> {
    while (this.#again && !this.#stopping) {
      this.#again = false;
      try {
        await this.#fill();
        this.#parts.admission.databaseIsFull(false);
      } catch (err) {
        // Said once, by the pause; tried again all the same.
        if (isFullDisk(errorRecord(err))) return this.#parts.admission.databaseIsFull(true);
        this.#parts.log.logger.error({ err }, 'queue could not be worked on');
        return;
      }
    }
  }

  async #fill(): Promise<void> {
    const { queue, admission } = this.#parts;
    this.#requeueLost();
    const waiting = new Set<string>();
    const slots = this.#parts.config().workers.jobs;
    for (const job of queue.jobs.queued()) {
      // A cancelled, retried or re-ordered job: the rows of this round are not true any more.
      if (this.#running.size >= slots || this.#stopping || this.#again) break;
      if (this.#running.has(job.job) || performance.now() < (this.#setBacks.get(job.job)?.until ?? 0))
        continue;
      if (!this.#mayStart(job)) continue;
      const key = JOB_KEY + job.job;
      const { waitsForBytes } = job;
      const place = writesTo(job, this.#parts.config());
      if (waitsForBytes !== null && !(await admission.hasFree(key, waitsForBytes, place))) {
        waiting.add(key);
        continue;
      }
      // Space was asked for meanwhile.
      if (!this.#stopping && !this.#again) this.#launch(job.job);
    }
    if (this.#again) return;
    admission.forgetExcept((who) => waiting.has(who) || !who.startsWith(JOB_KEY));
  }

  /**
   * What is decided only has to be published: that frees space, and a paused queue is no reason to keep it
   * back.
   */
  #mayStart(job: Job): boolean {
    return job.outcome !== null || this.#parts.admission.mayStart;
  }

  #launch(id: string): void {
    const { queue, board } = this.#parts;
    const job = queue.transaction(() => {
      const fresh = queue.jobs.get(id);
      return fresh !== null && this.#mayStart(fresh) ? queue.jobs.start(id) : null;
    });
    if (job === null) return;
    const abort = new AbortController();
    const setBacks = (of: string) => this.#setBacks.get(of)?.times ?? 0;
    const done = runJob(job, { ...this.#parts, config: this.#parts.config(), setBacks }, abort.signal)
      .then(() => void this.#setBacks.delete(job.job))
      .catch((thrown: unknown) => this.#setBack(job, thrown))
      .finally(() => {
        this.#running.delete(job.job);
        board.remove(job.job);
        this.#parts.onJobEnd();
        this.kick();
      });
    this.#running.set(job.job, { abort, done });
  }

  /** Something of the daemon failed around the job (the database, a directory): nothing is concluded about the VM. */
  #setBack(job: Job, thrown: unknown): void {
    const { log, queue } = this.#parts;
    const { code, advice } = errorRecord(thrown);
    log.logger.error(
      { job: job.job, err: thrown, code, advice },
      'job could not be carried on, it is tried again',
    );
    const times = (this.#setBacks.get(job.job)?.times ?? 0) + 1;
    const rest = backoff(times, this.#parts.config().retry.backoff_seconds);
    this.#setBacks.set(job.job, { times, until: performance.now() + rest * 1000 });
    // A timer may be a millisecond early, and then nothing would come of it before the next regular look.
    setTimeout(() => this.kick(), rest * 1000 + 2).unref();
    try {
      queue.jobs.requeue(job.job);
    } catch (err) {
      // It stays `running` in the database for now: `requeueLost`.
      log.logger.error({ job: job.job, err }, 'job could not be put back into the queue');
    }
  }

  /** The database did not answer when a job was to be put back: it would be `running` for ever. */
  #requeueLost(): void {
    const { queue } = this.#parts;
    for (const job of this.#setBacks.keys()) {
      if (!this.#running.has(job)) queue.jobs.requeue(job);
    }
  }
}
