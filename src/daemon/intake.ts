import { setTimeout as sleep } from 'node:timers/promises';
import { finalName } from '../disk/base/partial-names.js';
import { errorRecord, Hyper2kvmError } from '../errors/error.js';
import type { Claim } from '../queue/claim.js';
import { cachedGrouping } from '../spool/cached-grouping.js';
import { finishClaims } from '../spool/claim.js';
import { isHidden } from '../spool/names.js';
import { type Scan, Scanner, type WaitingDrop } from '../spool/scan.js';
import { IncomingWatch } from '../spool/watch.js';
import { type ClaimParts, type Copy, tryToClaim } from './claim-drop.js';
import { DropObstacles, type WaitingView } from './drop-obstacles.js';
import { DropTurns } from './drop-turns.js';
import type { EventBus } from './events.js';
import { Rests } from './rests.js';

export interface IntakeParts extends Omit<ClaimParts, 'confirm' | 'mayCopy'> {
  events: EventBus;
  /** A job was queued. */
  onJob(): void;
  /** A round of claims ends after so long. Default ROUND_SECONDS. */
  roundSeconds?: number;
  /** Of `Rests`. */
  restFactor?: number;
  /** Default MAX_COPIES. */
  maxCopies?: number;
}

/** A round ends after so long, so that others are seen while thousands are claimed. */
const ROUND_SECONDS = 5;
/**
 * So many drops are copied from another filesystem at once, beside the rounds: each may take hours, and the
 * others must not wait for it.
 */
const MAX_COPIES = 4;
/** At least this long between two scans that hints ask for. */
const HINT_PAUSE_MS = 200;

/** Watches incoming and turns settled drops into jobs, one after the other. */
export class Intake {
  readonly #parts: IntakeParts;
  readonly #scanner: Scanner;
  readonly #watch: IncomingWatch | null;
  readonly #turns = new DropTurns();
  /** Drops whose claim failed. */
  readonly #rests: Rests;
  /** Claims that are being copied, by the drop's name. */
  readonly #copies = new Map<string, { job: string; ended: Promise<void> }>();
  readonly #hints = new Set<string>();
  readonly #obstacles: DropObstacles;
  /** Drops of the last scan that are jobs by now. */
  readonly #claimed = new Set<string>();
  readonly #abort = new AbortController();
  #scan: Scan = { available: false, waiting: [], ignored: [], nextCheck: 0 };
  #loop: Promise<void> = Promise.resolve();
  #wake: () => void = () => {};
  #isPoked = false;
  /** The last round ended before all had their turn. */
  #hasMore = false;
  /**
   * A claim failed, perhaps in a daemon before this one, and may be half done: the database or the disk did
   * not let it be undone.
   */
  #mayHaveHalfClaims = true;
  #wasAvailable = true;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
    this.#rests = new Rests(parts.restFactor);
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

  /** The first scan has begun; nobody waits for it, whatever lies in incoming. */
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

  /** Scans again soon: something changed that may let a drop in. */
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
      // A copy gives a hint with each write: together they cost one scan.
      await sleep(HINT_PAUSE_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Until the time is over or something wakes it. */
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
      if (this.#scan.available) await this.#claimAll();
      this.#obstacles.announce(this.waiting());
    } catch (err) {
      if (this.#abort.signal.aborted) return;
      log.error({ err }, 'incoming could not be scanned');
      this.#scan.nextCheck = monotonicSeconds() + this.#parts.config().watch.poll_seconds;
    }
  }

  #logAvailability(): void {
    const { available } = this.#scan;
    const directory = this.#parts.config().spool.incoming;
    if (!available && this.#wasAvailable)
      this.#parts.log.warn({ directory }, 'incoming is not there: waiting for it');
    if (available && !this.#wasAvailable) this.#parts.log.info({ directory }, 'incoming is there again');
    this.#wasAvailable = available;
  }

  #entries(): number {
    const { waiting, ignored } = this.#scan;
    return waiting.reduce((sum, { states }) => sum + states.length, ignored.length);
  }

  async #claimAll(): Promise<void> {
    const end = monotonicSeconds() + (this.#parts.roundSeconds ?? ROUND_SECONDS);
    const turns = this.#turns;
    this.#rests.end(this.#scan.waiting);
    const next = turns.update(this.#scan.waiting);
    const due = new Set(this.#scan.waiting.flatMap((one) => (one.due ? [one.drop.name] : [])));
    this.#obstacles.deleteExcept((name) => due.has(name) || this.#isLeftAlone(name));
    let isFirst = true;
    for (const waiting of next) {
      if (this.#abort.signal.aborted) return;
      const { name } = waiting.drop;
      const isLeftAlone = this.#isLeftAlone(name);
      // One at least, however slow.
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
    return this.#rests.has(name) || this.#copies.has(name);
  }

  async #finishClaims(): Promise<void> {
    if (!this.#mayHaveHalfClaims) return;
    const { queue, config, log, onJob } = this.#parts;
    this.#mayHaveHalfClaims = false;
    // Before the claims are read: one that ends meanwhile is not among them, or is left to the next round.
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

  /** True when it was claimed. One drop's trouble does not keep the others. */
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
    this.#rests.begin(waiting, monotonicSeconds() - started);
    this.#obstacles.set(name, this.#obstacles.logUnclaimable(name, errorRecord(error)));
  }
}

function monotonicSeconds(): number {
  return performance.now() / 1000;
}
