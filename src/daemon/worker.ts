import { backoff } from '../engine/retry.js';
import { errorRecord, Hyper2kvmError, isFullDisk } from '../errors/error.js';
import type { Job } from '../model/job.js';
import type { Lease, StartedJob } from '../queue/store.js';
import type { JobLocks } from './job-locks.js';
import { writesTo } from './paths.js';
import { type JobParts, processJob } from './process-job.js';

export interface WorkerParts extends Omit<JobParts, 'config' | 'putBacks'> {
  config(): JobParts['config'];
  locks: JobLocks;
  /** A job ended, so a slot is free. */
  onJobEnd(): void;
}

/** Freed space and elapsed back-off raise no event, and leases must be renewed. */
const INTERVAL_MS = 5_000;

interface Run {
  abort: AbortController;
  /** Null until the queue has answered. */
  lease: Lease | null;
  done: Promise<void>;
}

interface PutBack {
  /** Times in a row. */
  times: number;
  until: number;
  /** Set for a job that the queue did not take back. */
  lease: Lease | null;
}

/** Starts queued jobs by priority, as many at once as `workers.jobs` allows. */
export class Worker {
  readonly #parts: WorkerParts;
  readonly #running = new Map<string, Run>();
  /** Jobs that pause after a failure of the daemon, which is not their own. */
  readonly #putBacks = new Map<string, PutBack>();
  #timer: NodeJS.Timeout | null = null;
  #stopping = false;
  #filling: Promise<void> | null = null;
  #renewing: Promise<void> | null = null;
  #again = false;

  constructor(parts: WorkerParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.kick();
      this.#renewing ??= this.#renewLeases().finally(() => {
        this.#renewing = null;
      });
    }, INTERVAL_MS);
    this.kick();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    const reason = new Hyper2kvmError('daemon.stopping', 'the daemon is stopping');
    for (const { abort } of this.#running.values()) abort.abort(reason);
    await this.#filling;
    for (const { abort } of this.#running.values()) abort.abort(reason);
    await Promise.all([...this.#running.values()].map(({ done }) => done));
    await this.#renewing;
  }

  /** Starts what may start. A call during a decision leads to one more decision. */
  kick(): void {
    this.#again = true;
    // Deferred, because the caller may be what the decision queries.
    this.#filling ??= Promise.resolve()
      .then(() => this.#fillAll())
      .finally(() => {
        this.#filling = null;
      });
  }

  /** Stops what the job is running; its outcome is decided already. */
  cancel(job: string, reason: Hyper2kvmError): void {
    this.#running.get(job)?.abort.abort(reason);
  }

  async #fillAll(): Promise<void> {
    while (this.#again && !this.#stopping) {
      this.#again = false;
      try {
        await this.#fill();
        await this.#parts.admission.databaseIsFull(false);
      } catch (err) {
        // The pause is announced once, and starting is tried again in any case.
        if (isFullDisk(errorRecord(err))) return this.#parts.admission.databaseIsFull(true);
        this.#parts.log.logger.error({ err }, 'queued jobs could not be started');
        return;
      }
    }
  }

  async #fill(): Promise<void> {
    const { queue, admission } = this.#parts;
    await this.#requeuePutBack();
    const waiting = new Set<string>();
    const slots = this.#parts.config().workers.jobs;
    const isPaused = await queue.pause.isOn();
    for await (const job of queue.jobs.queued()) {
      // A job was cancelled, retried or reordered, so the rows of this round are outdated.
      if (this.#running.size >= slots || this.#stopping || this.#again) break;
      if (this.#running.has(job.job) || performance.now() < (this.#putBacks.get(job.job)?.until ?? 0))
        continue;
      if (isPaused && job.outcome === null) continue;
      const { waitsForBytes } = job;
      if (waitsForBytes !== null && !(await this.#hasSpace(job, waitsForBytes))) {
        waiting.add(job.job);
        continue;
      }
      // The check for space was asynchronous, so conditions may have changed.
      if (!this.#stopping && !this.#again) await this.#launch(job.job);
    }
    if (!this.#again) await admission.forgetExcept('job', waiting);
  }

  #hasSpace(job: Job, bytes: number): Promise<boolean> {
    const place = writesTo(job, this.#parts.config());
    return this.#parts.admission.hasFree({ kind: 'job', id: job.job }, bytes, place);
  }

  async #launch(id: string): Promise<void> {
    const run: Run = { abort: new AbortController(), lease: null, done: Promise.resolve() };
    // Registered before the queue is called, so that a cancellation right after the start finds it.
    this.#running.set(id, run);
    let started: StartedJob | null = null;
    try {
      started = await this.#parts.queue.runs.start(id);
    } finally {
      if (started === null) this.#running.delete(id);
    }
    if (started === null) return;
    run.lease = started.lease;
    run.done = this.#run(started, run.abort.signal);
  }

  async #run(started: StartedJob, signal: AbortSignal): Promise<void> {
    const { progress, locks } = this.#parts;
    const { job } = started.job;
    const release = await locks.hold(job);
    try {
      const putBacks = (of: string) => this.#putBacks.get(of)?.times ?? 0;
      await processJob(started, { ...this.#parts, config: this.#parts.config(), putBacks }, signal);
      this.#putBacks.delete(job);
    } catch (thrown) {
      await this.#putBack(started.lease, thrown);
    } finally {
      release();
      this.#running.delete(job);
      progress.remove(job);
      this.#parts.onJobEnd();
      this.kick();
    }
  }

  /**
   * Puts a job back after a failure of the daemon (the database, a directory), from which nothing is
   * concluded about the VM.
   */
  async #putBack(lease: Lease, thrown: unknown): Promise<void> {
    const log = this.#parts.log.logger.child({ job: lease.job });
    const { code, message, advice } = errorRecord(thrown);
    if (code === 'queue.lease-lost') {
      this.#putBacks.delete(lease.job);
      return log.warn({ code, error: message, advice }, 'job is run by another worker now');
    }
    log.error({ err: thrown, code, advice }, 'job interrupted by a host error, retrying');
    const times = (this.#putBacks.get(lease.job)?.times ?? 0) + 1;
    const rest = backoff(times, this.#parts.config().retry.backoff_seconds);
    this.#putBacks.set(lease.job, { times, until: performance.now() + rest * 1000, lease });
    // A timer may fire a millisecond early, in which case nothing would happen before the next regular round.
    setTimeout(() => this.kick(), rest * 1000 + 2).unref();
    try {
      await this.#giveBack(lease);
    } catch (err) {
      // It stays `running` in the queue for now, see `#requeuePutBack`.
      log.error({ err }, 'job could not be put back into the queue');
    }
  }

  /** Puts back jobs for which the queue did not answer: they would be `running` forever. */
  async #requeuePutBack(): Promise<void> {
    for (const { lease } of this.#putBacks.values())
      if (lease !== null && !this.#running.has(lease.job)) await this.#giveBack(lease);
  }

  async #giveBack(lease: Lease): Promise<void> {
    try {
      await this.#parts.queue.runs.requeue(lease);
    } catch (thrown) {
      // It is back already: the queue did it without being able to confirm it, or the job was put back before
      // it failed.
      if (errorRecord(thrown).code !== 'queue.lease-lost') throw thrown;
    }
    const putBack = this.#putBacks.get(lease.job);
    if (putBack?.lease === lease) putBack.lease = null;
  }

  /** Stops a run whose lease is lost: anything that it still wrote would be rejected. */
  async #renewLeases(): Promise<void> {
    const { queue, log } = this.#parts;
    const leases = [...this.#running.values()].flatMap(({ lease }) => lease ?? []);
    if (leases.length === 0) return;
    try {
      for (const { job, token } of await queue.runs.renew(leases)) {
        const run = this.#running.get(job);
        if (run?.lease?.token !== token) continue;
        run.abort.abort(new Hyper2kvmError('queue.lease-lost', `job ${job} belongs to another worker now`));
      }
    } catch (err) {
      log.logger.warn({ err }, 'leases could not be renewed');
    }
  }
}
