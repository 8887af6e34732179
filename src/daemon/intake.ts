import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Config } from '../config/schema.js';
import { refusedName } from '../disk/names.js';
import { type ErrorRecord, errorRecord, Hyper2kvmError } from '../errors.js';
import type { Claim } from '../queue/claims.js';
import { newJobId } from '../queue/ids.js';
import type { Queue } from '../queue/queue.js';
import { claimDrop, finishClaims } from '../spool/claim.js';
import { cachedGrouping } from '../spool/grouping.js';
import { finalName, isHidden } from '../spool/names.js';
import { type Scan, Scanner, type WaitingDrop } from '../spool/scan.js';
import { IncomingWatch } from '../spool/watch.js';
import { within } from '../spool/within.js';
import { hasWriter } from '../spool/writers.js';
import type { Admission } from './admission.js';
import { appraise } from './appraise.js';
import { Rests } from './rests.js';

export interface IntakeParts {
  config(): Config;
  queue: Queue;
  admission: Admission;
  log: Logger;
  /** A job was queued. */
  onJob(): void;
  /** A round of claims ends after so long. Default ROUND_SECONDS. */
  roundSeconds?: number;
  /** Of `Rests`. */
  restFactor?: number;
  /** Default MAX_COPIES. */
  maxCopies?: number;
}

/** A drop in incoming and what it waits for. */
export interface WaitingView {
  waiting: WaitingDrop;
  waitingFor: string;
}

/** A round ends after so long, so that others are seen while thousands are claimed. */
const ROUND_SECONDS = 5;
/**
 * So many drops are copied from another filesystem at once, beside the rounds: each may take hours, and the
 * others must not wait for it.
 */
const MAX_COPIES = 4;
/** Whether a drop is still written to, what its job.toml says, and what it will need. */
const JUDGE_SECONDS = 10;
/** At least this long between two scans that hints ask for. */
const HINT_PAUSE_MS = 200;

/** Watches incoming and turns settled drops into jobs, one after the other. */
export class Intake {
  readonly #parts: IntakeParts;
  readonly #scanner: Scanner;
  readonly #watch: IncomingWatch | null;
  readonly #hints = new Set<string>();
  /** What a drop waits for beside settling, by its name. */
  readonly #obstacles = new Map<string, string>();
  /** Due drops in the order of their turns: a new one comes last, and so does one that has to wait, so that neither keeps the others for ever. */
  readonly #turns = new Set<string>();
  /** Turns until each of them had one. A round that ends before goes on soon, and then it is quiet. */
  #turnsLeft = 0;
  /** Drops whose claim failed. */
  readonly #rests: Rests;
  /** Claims that are being copied, by the drop's name. */
  readonly #copies = new Map<string, { job: string; ended: Promise<void> }>();
  /** Drops of the last scan that are jobs by now. */
  readonly #claimed = new Set<string>();
  /** Why a drop could not be claimed, as the log has it. */
  readonly #said = new Map<string, string>();
  readonly #abort = new AbortController();
  #scan: Scan = { available: false, waiting: [], ignored: [], nextLook: 0 };
  #loop: Promise<void> = Promise.resolve();
  #wake: () => void = () => {};
  #isPoked = false;
  /** The last round ended before all had their turn. */
  #goesOn = false;
  /** A claim failed, perhaps in a daemon before this one, and may be half done: the database or the disk did not let it be undone. */
  #mayHaveHalfClaims = true;
  #wasAvailable = true;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
    this.#rests = new Rests(parts.restFactor);
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

  /** Looks again soon: something changed that may let a drop in. */
  poke(): void {
    this.#isPoked = true;
    this.#wake();
  }

  waiting(): WaitingView[] {
    const waiting = this.#scan.waiting.filter(({ drop }) => !this.#claimed.has(drop.name));
    return waiting.map((waiting) => ({ waiting, waitingFor: this.#reason(waiting) }));
  }

  #reason({ drop, quietSeconds }: WaitingDrop): string {
    const settle = this.#parts.config().watch.settle_seconds;
    const obstacle = this.#obstacles.get(drop.name) ?? drop.waitingFor;
    if (obstacle !== null) return obstacle;
    return `settling, ${Math.max(0, Math.ceil(settle - quietSeconds))} s`;
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
      await this.#pause(Math.max(0, this.#scan.nextLook - monotonicSeconds()));
      if (signal.aborted) return;
      // A copy gives a hint with each write: together they cost one look.
      await sleep(HINT_PAUSE_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Until the time is over or something wakes it. */
  async #pause(seconds: number): Promise<void> {
    if (this.#hints.size > 0 || this.#isPoked || this.#goesOn) return;
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
    if (this.#isPoked || !this.#goesOn) this.#turnsLeft = Number.POSITIVE_INFINITY;
    this.#isPoked = false;
    this.#goesOn = false;
    const hints = new Set(this.#hints);
    this.#hints.clear();
    try {
      this.#scan = await this.#scanner.scan(hints);
      this.#claimed.clear();
      this.#sayAvailability();
      this.#sayUnreadable();
      if (!this.#abort.signal.aborted) await this.#watch?.follow(this.#entries());
      await this.#finishClaims();
      if (this.#scan.available) await this.#claimAll();
    } catch (err) {
      if (this.#abort.signal.aborted) return;
      log.error({ err }, 'incoming could not be scanned');
      this.#scan.nextLook = monotonicSeconds() + this.#parts.config().watch.poll_seconds;
    }
  }

  #sayAvailability(): void {
    const { available } = this.#scan;
    const directory = this.#parts.config().spool.incoming;
    if (!available && this.#wasAvailable)
      this.#parts.log.warn({ directory }, 'incoming is not there: waiting for it');
    if (available && !this.#wasAvailable) this.#parts.log.info({ directory }, 'incoming is there again');
    this.#wasAvailable = available;
  }

  /** What cannot be looked at is in the log once, like what cannot be claimed. */
  #sayUnreadable(): void {
    for (const { drop } of this.#scan.waiting)
      if (drop.problem !== undefined) this.#sayUnclaimable(drop.name, drop.problem);
  }

  #entries(): number {
    const { waiting, ignored } = this.#scan;
    return waiting.reduce((sum, { looks }) => sum + looks.length, ignored.length);
  }

  async #claimAll(): Promise<void> {
    const end = monotonicSeconds() + (this.#parts.roundSeconds ?? ROUND_SECONDS);
    const due = new Map(
      this.#scan.waiting.filter(({ due }) => due).map((waiting) => [waiting.drop.name, waiting]),
    );
    this.#rests.end(this.#scan.waiting);
    for (const name of this.#obstacles.keys())
      if (!due.has(name) && !this.#isLeftAlone(name)) this.#obstacles.delete(name);
    for (const name of this.#turns) if (!due.has(name)) this.#turns.delete(name);
    for (const name of due.keys()) if (!this.#turns.has(name)) this.#comeLast(name);
    this.#turnsLeft = Math.min(this.#turnsLeft, this.#turns.size);
    let isFirst = true;
    for (const name of [...this.#turns].slice(0, this.#turnsLeft)) {
      if (this.#abort.signal.aborted) return;
      const isLeftAlone = this.#isLeftAlone(name);
      // One at least, however slow.
      if (!isLeftAlone && !isFirst && monotonicSeconds() > end) break;
      this.#turns.delete(name);
      this.#turnsLeft -= 1;
      if (isLeftAlone) {
        this.#turns.add(name);
        continue;
      }
      isFirst = false;
      const obstacle = await this.#claim(due.get(name)!);
      if (obstacle !== null) {
        this.#obstacles.set(name, obstacle);
        this.#turns.add(name);
        continue;
      }
      this.#claimed.add(name);
      this.#obstacles.delete(name);
    }
    this.#goesOn = this.#turnsLeft > 0;
    const unreadable = new Set(
      this.#scan.waiting.flatMap(({ drop }) => (drop.problem === undefined ? [] : [drop.name])),
    );
    for (const name of this.#said.keys())
      if (!this.#obstacles.has(name) && !unreadable.has(name)) this.#said.delete(name);
    const names = new Set(this.waiting().map(({ waiting }) => dropKey(waiting.drop.name)));
    this.#parts.admission.forgetExcept((who) => names.has(who) || !isDropKey(who));
  }

  #isLeftAlone(name: string): boolean {
    return this.#rests.has(name) || this.#copies.has(name);
  }

  #comeLast(name: string): void {
    this.#turns.add(name);
    this.#turnsLeft += 1;
  }

  async #finishClaims(): Promise<void> {
    if (!this.#mayHaveHalfClaims) return;
    const { queue, config, log, onJob } = this.#parts;
    this.#mayHaveHalfClaims = false;
    const underWay = new Set([...this.#copies.values()].map(({ job }) => job));
    const onError = (claim: Claim, error: unknown) => {
      this.#mayHaveHalfClaims = true;
      this.#sayUnclaimable(claim.dropName, errorRecord(error));
    };
    const finished = await finishClaims(queue, config().spool, onError, ({ job }) => underWay.has(job));
    for (const { job, dropName } of finished) {
      log.warn({ job, drop: dropName }, 'interrupted claim finished');
      onJob();
    }
  }

  /** Null when it was claimed; otherwise what it waits for. One drop's trouble does not keep the others. */
  async #claim(waiting: WaitingDrop): Promise<string | null> {
    const started = monotonicSeconds();
    try {
      return await this.#tryToClaim(waiting);
    } catch (error) {
      return this.#failed(waiting, error, started);
    }
  }

  #failed(waiting: WaitingDrop, error: unknown, started: number): string {
    if (this.#abort.signal.aborted) return 'the daemon is stopping';
    this.#rests.begin(waiting, monotonicSeconds() - started);
    return this.#sayUnclaimable(waiting.drop.name, errorRecord(error));
  }

  /** In the log once for each reason, however often it is tried. */
  #sayUnclaimable(drop: string, { code, message, advice }: ErrorRecord): string {
    const reason = `${code}: ${message}`;
    if (this.#said.get(drop) !== reason)
      this.#parts.log.warn({ drop, code, error: message, advice }, 'drop could not be claimed');
    this.#said.set(drop, reason);
    return reason;
  }

  async #tryToClaim(waiting: WaitingDrop): Promise<string | null> {
    const { admission } = this.#parts;
    const { drop } = waiting;
    const { spool } = this.#parts.config();
    if (waiting.looks.some(({ entry }) => entry.type === 'unnamed')) throw refusedName(drop.name);
    if (!admission.mayClaim)
      return admission.state === 'draining' ? 'the queue is draining' : 'the queue is paused';
    if (!(await this.#scanner.confirm(waiting))) return 'settling';
    const { looks } = waiting;
    const judged = await within(JUDGE_SECONDS, this.#abort.signal, async (signal) => {
      if (drop.refused === null && (await hasWriter(spool.incoming, looks, signal))) return null;
      return appraise(drop, looks, this.#parts.config(), signal);
    });
    if (judged === null) return 'still open for writing';
    const { vm, refused } = judged;
    const { maxCopies = MAX_COPIES } = this.#parts;
    if (!judged.isMoved && this.#copies.size >= maxCopies) return 'other drops are being copied';
    const reservedBytes = refused === null ? await admission.bytesToReserve(looks, judged) : 0;
    const key = dropKey(drop.name);
    if (!(await admission.hasRoom(key, reservedBytes))) return admission.spaceText(key) ?? 'space';
    const job = newJobId(Date.now());
    const entries = waiting.looks.map((look) => ({
      name: look.entry.name,
      device: look.device,
      inode: look.inode,
      bornMs: look.bornMs,
      stamp: look.stamp,
    }));
    const claim: Claim = {
      ...{ job, vm, dropName: drop.name, entries, optionsFile: drop.options, refused, reservedBytes },
      phase: 'moving',
    };
    return this.#take(waiting, claim);
  }

  /** As `#claim`. Where the drop has to be copied nobody waits for it. */
  async #take(waiting: WaitingDrop, claim: Claim): Promise<string | null> {
    const { name } = waiting.drop;
    const { queue, config } = this.#parts;
    const started = monotonicSeconds();
    let onCopy = () => {};
    const copying = new Promise<string>((resolve) => {
      onCopy = () => resolve('being copied from another filesystem');
    });
    const taken = claimDrop(queue, config().spool, claim, this.#abort.signal, onCopy).then(
      () => this.#taken(waiting, claim),
      (error: unknown) => {
        this.#mayHaveHalfClaims = true;
        throw error;
      },
    );
    const obstacle = await Promise.race([copying, taken]);
    if (obstacle === null) return null;
    const ended = taken.then(
      () => void this.#claimed.add(name),
      (error: unknown) => void this.#obstacles.set(name, this.#failed(waiting, error, started)),
    );
    this.#copies.set(name, {
      job: claim.job,
      ended: ended.finally(() => {
        this.#copies.delete(name);
        this.poke();
      }),
    });
    return obstacle;
  }

  #taken({ drop }: WaitingDrop, { job, vm, reservedBytes }: Claim): null {
    const facts = { job, vm, drop: drop.name, entries: drop.entries.length, reserved_bytes: reservedBytes };
    this.#parts.log.info(facts, 'drop claimed');
    this.#parts.onJob();
    return null;
  }
}

const DROP_KEY = 'drop ';
function dropKey(name: string): string {
  return `${DROP_KEY}${name}`;
}
function isDropKey(key: string): boolean {
  return key.startsWith(DROP_KEY);
}

function monotonicSeconds(): number {
  return performance.now() / 1000;
}
