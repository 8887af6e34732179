import { setTimeout as sleep } from 'node:timers/promises';
import { finalName } from '../disk/base/partial-names.js';
import { errorRecord, Hyper2kvmError } from '../errors/error.js';
import type { Claim } from '../queue/claim.js';
import { cachedGrouping } from '../spool/cached-grouping.js';
import { finishClaims } from '../spool/claim.js';
import { isHidden } from '../spool/names.js';
import { type Scan, Scanner, type WaitingDrop } from '../spool/scan.js';
import { IncomingWatch } from '../spool/watch.js';
import { ClaimBackoff } from './claim-backoff.js';
import { type ClaimParts, type Copy, tryToClaim } from './claim-drop.js';
import { DropObstacles, type WaitingView } from './drop-obstacles.js';
import { DropTurns } from './drop-turns.js';
import type { EventBus } from './events.js';
import { mayBeDelta } from './find-base.js';

export interface IntakeParts extends Omit<ClaimParts, 'confirm' | 'mayCopy'> {
  events: EventBus;
  /** A job was queued. */
  onJob(): void;
  /** Time limit of a round of claims. Default ROUND_SECONDS. */
  roundSeconds?: number;
  /** For the back-off of failed claims. */
  backoffFactor?: number;
  /** Default MAX_COPIES. */
  maxCopies?: number;
}

/** Time limit of a round, so that incoming is scanned again while thousands of drops are claimed. */
const ROUND_SECONDS = 5;
/**
 * How many drops are copied from another filesystem at once, beside the rounds: each may take hours, and the
 * others must not wait for it.
 */
const MAX_COPIES = 4;
/** Minimum time between two scans that hints trigger. */
const HINT_PAUSE_MS = 200;

/** Watches incoming and turns settled drops into jobs, one after the other. */
export class Intake {
  readonly #parts: IntakeParts;
  readonly #scanner: Scanner;
  readonly #watch: IncomingWatch | null;
  readonly #turns = new DropTurns();
  /** Drops whose claim failed. */
  readonly #backoff: ClaimBackoff;
  /** Claims that are being copied, by the drop's name. */
  readonly #copies = new Map<string, { job: string; ended: Promise<void> }>();
  readonly #hints = new Set<string>();
  readonly #obstacles: DropObstacles;
  /** Drops of the last scan that have become jobs since. */
  readonly #claimed = new Set<string>();
  readonly #abort = new AbortController();
  #scan: Scan = { available: false, waiting: [], ignored: [], nextCheck: 0 };
  #loop: Promise<void> = Promise.resolve();
  #wake: () => void = () => {};
  #isPoked = false;
  /** The last round ended before all had their turn. */
  #hasMore = false;
  /**
   * A claim failed, perhaps in an earlier daemon, and may be half done: the database or the disk prevented
   * undoing it.
   */
  #mayHaveHalfClaims = true;
  #wasAvailable = true;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
    this.#backoff = new ClaimBackoff(parts.backoffFactor);
    this.#obstacles = new DropObstacles(parts);
    const { spool, watch } = parts.config();
    this.#scanner = new Scanner({
      directory: spool.incoming,
      isHidden,
      isPartial: (name) => finalName(name) !== null,
      group: cachedGrouping(spool.incoming),
      settleSeconds: () => parts.config().watch.settle_seconds,
      pollSeconds: () => parts.config().watch.poll_seconds,
      alwaysList: watch.polling,
      now: monotonicSeconds,
      signal: this.#abort.signal,
    });
    this.#watch = watch.polling
      ? null
      : new IncomingWatch({
          directory: spool.incoming,
          onHint: (name) => this.#hint(name),
          log: parts.log,
        });
  }

  /** Starts the first scan and does not wait for it, whatever is in incoming. */
  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#abort.abort(new Hyper2kvmError('daemon.stopping', 'the daemon is stopping'));
    this.#wake();
    await this.#watch?.stop();
    await this.#loop;
    await Promise.all([...this.#copies.values()].map(({ ended }) => ended));
  }

  /** Scans again soon, because a change may allow a drop to be claimed. */
  poke(): void {
    this.#isPoked = true;
    this.#wake();
  }

  waiting(): WaitingView[] {
    const settle = this.#parts.config().watch.settle_seconds;
    const waiting = this.#scan.waiting.filter(({ drop }) => !this.#claimed.has(drop.name));
    return waiting.map((one) => this.#obstacles.view(one, settle));
  }

  #hint(name: string): void {
    this.#hints.add(name);
    this.#wake();
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      await this.#round();
      if (signal.aborted) return;
      await this.#pause(Math.max(0, this.#scan.nextCheck - monotonicSeconds()));
      if (signal.aborted) return;
      // A copy causes a hint with each write; together they cost one scan.
      await sleep(HINT_PAUSE_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Waits until the time is over or something wakes it. */
  async #pause(seconds: number): Promise<void> {
    if (this.#hints.size > 0 || this.#isPoked || this.#hasMore) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => {};
  }

  async #round(): Promise<void> {
    const { log } = this.#parts;
    if (this.#isPoked || !this.#hasMore) this.#turns.startPass();
    this.#isPoked = false;
    this.#hasMore = false;
    const hints = new Set(this.#hints);
    this.#hints.clear();
    try {
      this.#scan = await this.#scanner.scan(hints);
      this.#claimed.clear();
      this.#logAvailability();
      this.#obstacles.logUnreadable(this.#scan.waiting);
      this.#obstacles.announce(this.waiting());
      if (!this.#abort.signal.aborted) await this.#watch?.follow(this.#entries());
      await this.#finishClaims();
      await this.#lookAtDeltas();
      if (this.#scan.available) await this.#claimAll();
      this.#obstacles.announce(this.waiting());
    } catch (err) {
      if (this.#abort.signal.aborted) return;
      log.error({ err }, 'incoming could not be scanned');
      this.#scan.nextCheck = monotonicSeconds() + this.#parts.config().watch.poll_seconds;
    }
  }

  /**
   * Makes drops due that lack what a warm job may have, once they have settled: without one they would wait for the
   * missing files.
   */
  async #lookAtDeltas(): Promise<void> {
    const { queue, config } = this.#parts;
    const settled = this.#scan.waiting.filter(
      ({ drop, quietSeconds }) => mayBeDelta(drop) && quietSeconds >= config().watch.settle_seconds,
    );
    if (settled.length === 0) return;
    const warm = await queue.jobs.list({ states: ['queued', 'running'], warm: ['preparing', 'parked'] });
    if (warm.length > 0) for (const waiting of settled) waiting.due = true;
  }

  #logAvailability(): void {
    const { available } = this.#scan;
    const directory = this.#parts.config().spool.incoming;
    if (!available && this.#wasAvailable)
      this.#parts.log.warn({ directory }, 'incoming does not exist, waiting for it');
    if (available && !this.#wasAvailable) this.#parts.log.info({ directory }, 'incoming exists again');
    this.#wasAvailable = available;
  }

  #entries(): number {
    const { waiting, ignored } = this.#scan;
    return waiting.reduce((sum, { states }) => sum + states.length, ignored.length);
  }

  async #claimAll(): Promise<void> {
    const end = monotonicSeconds() + (this.#parts.roundSeconds ?? ROUND_SECONDS);
    const turns = this.#turns;
    this.#backoff.end(this.#scan.waiting);
    const next = turns.update(this.#scan.waiting);
    const due = new Set(this.#scan.waiting.flatMap((one) => (one.due ? [one.drop.name] : [])));
    this.#obstacles.deleteExcept((name) => due.has(name) || this.#isLeftAlone(name));
    let isFirst = true;
    for (const waiting of next) {
      if (this.#abort.signal.aborted) return;
      const { name } = waiting.drop;
      const isLeftAlone = this.#isLeftAlone(name);
      // At least one, however slow it is.
      if (!isLeftAlone && !isFirst && monotonicSeconds() > end) break;
      turns.take(name);
      if (!isLeftAlone) isFirst = false;
      if (isLeftAlone || !(await this.#claim(waiting))) turns.putBack(name);
    }
    this.#hasMore = turns.hasMore;
    const names = new Set(this.waiting().map(({ waiting }) => waiting.drop.name));
    await this.#parts.admission.forgetExcept('drop', names);
  }

  #isLeftAlone(name: string): boolean {
    return this.#backoff.has(name) || this.#copies.has(name);
  }

  async #finishClaims(): Promise<void> {
    if (!this.#mayHaveHalfClaims) return;
    const { queue, config, log, onJob } = this.#parts;
    this.#mayHaveHalfClaims = false;
    // Collected before the claims are read, so that a claim that ends meanwhile is either not among them or
    // left to the next round.
    const underWay = new Set([...this.#copies.values()].map(({ job }) => job));
    const onError = (claim: Claim, error: unknown) => {
      this.#mayHaveHalfClaims = true;
      this.#obstacles.logUnclaimable(claim.dropName, errorRecord(error));
    };
    const finished = await finishClaims(queue, config().spool, onError, ({ job }) => underWay.has(job));
    for (const { job, dropName } of finished) {
      log.warn({ job, drop: dropName }, 'interrupted claim finished');
      onJob();
    }
  }

  /** Returns true if the drop was claimed. An error of one drop does not block the others. */
  async #claim(waiting: WaitingDrop): Promise<boolean> {
    const { name } = waiting.drop;
    const started = monotonicSeconds();
    const { maxCopies = MAX_COPIES } = this.#parts;
    const parts: ClaimParts = {
      ...this.#parts,
      confirm: (drop) => this.#scanner.confirm(drop),
      mayCopy: () => this.#copies.size < maxCopies,
    };
    try {
      const result = await tryToClaim(waiting, parts, this.#abort.signal);
      if ('job' in result) {
        this.#onClaimed(name);
        return true;
      }
      this.#obstacles.set(name, result.waitsFor);
      if (result.copy !== undefined) this.#follow(waiting, result.copy, started);
    } catch (error) {
      this.#onFailure(waiting, error, started);
    }
    return false;
  }

  #follow(waiting: WaitingDrop, { job, claimed }: Copy, started: number): void {
    const { name } = waiting.drop;
    const ended = claimed
      .then(
        () => this.#onClaimed(name),
        (error: unknown) => this.#onFailure(waiting, error, started),
      )
      .finally(() => {
        this.#copies.delete(name);
        this.poke();
      });
    this.#copies.set(name, { job, ended });
  }

  #onClaimed(name: string): void {
    this.#claimed.add(name);
    this.#obstacles.delete(name);
    this.#parts.onJob();
  }

  #onFailure(waiting: WaitingDrop, error: unknown, started: number): void {
    const { name } = waiting.drop;
    this.#mayHaveHalfClaims = true;
    if (this.#abort.signal.aborted) return;
    this.#backoff.begin(waiting, monotonicSeconds() - started);
    this.#obstacles.set(name, this.#obstacles.logUnclaimable(name, errorRecord(error)));
  }
}

function monotonicSeconds(): number {
  return performance.now() / 1000;
}
