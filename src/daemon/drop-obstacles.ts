import type { Logger } from 'pino';
import type { ErrorRecord } from '../errors/error.js';
import type { WaitingDrop } from '../spool/scan.js';
import { waitingText } from '../spool/waiting-text.js';
import type { EventBus } from './events.js';

/** A drop in incoming and what it waits for. */
export interface WaitingView {
  waiting: WaitingDrop;
  waitingFor: string;
}

/**
 * Keeps what each drop in incoming waits for: shown by `list`, logged once, and announced when it changes.
 */
export class DropObstacles {
  readonly #log: Logger;
  readonly #events: EventBus;
  /** What a drop waits for beside its files and settling, by its name. */
  readonly #obstacles = new Map<string, string>();
  /** The logged reason why a drop could not be claimed. */
  readonly #logged = new Map<string, string>();
  /** What a drop waits for according to its last event. */
  readonly #announced = new Map<string, string>();

  constructor({ log, events }: { log: Logger; events: EventBus }) {
    this.#log = log;
    this.#events = events;
  }

  set(name: string, waitsFor: string): void {
    this.#obstacles.set(name, waitsFor);
  }

  delete(name: string): void {
    this.#obstacles.delete(name);
  }

  deleteExcept(isKept: (name: string) => boolean): void {
    for (const name of this.#obstacles.keys()) if (!isKept(name)) this.#obstacles.delete(name);
  }

  /** Logs each reason once, however often the claim is tried. Returns the reason. */
  logUnclaimable(drop: string, { code, message, advice }: ErrorRecord): string {
    const reason = `${code}: ${message}`;
    if (this.#logged.get(drop) !== reason)
      this.#log.warn({ drop, code, error: message, advice }, 'drop could not be claimed');
    this.#logged.set(drop, reason);
    return reason;
  }

  /** Logs what cannot be read once; after it was readable, it is logged again. */
  logUnreadable(waiting: readonly WaitingDrop[]): void {
    const unreadable = new Set<string>();
    for (const { drop } of waiting) {
      if (drop.problem === undefined) continue;
      unreadable.add(drop.name);
      this.logUnclaimable(drop.name, drop.problem);
    }
    for (const name of this.#logged.keys())
      if (!this.#obstacles.has(name) && !unreadable.has(name)) this.#logged.delete(name);
  }

  view(waiting: WaitingDrop, settleSeconds: number): WaitingView {
    const left = Math.max(0, Math.ceil(settleSeconds - waiting.quietSeconds));
    return { waiting, waitingFor: this.#obstacleOf(waiting) ?? `settling, ${left} s` };
  }

  /**
   * Emits drops that are new, that wait for something else, or that are gone. The seconds of settling do not
   * count as a change.
   */
  announce(views: readonly WaitingView[]): void {
    const names = new Set(views.map(({ waiting }) => waiting.drop.name));
    for (const view of views) {
      const { name } = view.waiting.drop;
      const waitsFor = this.#obstacleOf(view.waiting) ?? 'settling';
      if (this.#announced.get(name) === waitsFor) continue;
      this.#announced.set(name, waitsFor);
      this.#events.emit('drop:waiting', view);
    }
    for (const name of this.#announced.keys()) {
      if (names.has(name)) continue;
      this.#announced.delete(name);
      this.#events.emit('drop:gone', name);
    }
  }

  #obstacleOf({ drop }: WaitingDrop): string | null {
    return this.#obstacles.get(drop.name) ?? waitingText(drop);
  }
}
