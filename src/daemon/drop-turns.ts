import type { WaitingDrop } from '../spool/scan.js';

/**
 * A drop rests so many times as long as its claim took to fail: one that is copied from another filesystem
 * and given back, again and again, must not keep the others.
 */
const REST_FACTOR = 3;

/**
 * Whose claim is tried next. A new drop comes last, and so does one that has to wait, so that neither keeps
 * the others for ever.
 */
export class DropTurns {
  readonly #now: () => number;
  readonly #restFactor: number;
  /** Due drops by name, in the order of their turns. */
  readonly #order = new Set<string>();
  /** How many due drops have not had a turn in this pass. */
  #left = 0;
  /**
   * Drops whose claim failed, by name, and until when they rest. Other files of that name are another drop.
   */
  readonly #rests = new Map<string, { files: string; until: number }>();

  /** `now`: monotonic, seconds. */
  constructor(now: () => number, restFactor = REST_FACTOR) {
    this.#now = now;
    this.#restFactor = restFactor;
  }

  /** Every due drop gets a turn again. */
  startPass(): void {
    this.#left = Number.POSITIVE_INFINITY;
  }

  /** A pass that runs out of time goes on in the next round. */
  get hasMore(): boolean {
    return this.#left > 0;
  }

  isResting(name: string): boolean {
    return this.#rests.has(name);
  }

  /** Takes a new scan into account; returns the drops that have not had a turn in this pass, in order. */
  update(waiting: readonly WaitingDrop[]): WaitingDrop[] {
    this.#endRests(waiting);
    const due = new Map(waiting.filter((one) => one.due).map((one) => [one.drop.name, one]));
    for (const name of this.#order) if (!due.has(name)) this.#order.delete(name);
    for (const name of due.keys()) {
      if (this.#order.has(name)) continue;
      this.#order.add(name);
      this.#left += 1;
    }
    this.#left = Math.min(this.#left, this.#order.size);
    return [...this.#order].slice(0, this.#left).map((name) => due.get(name)!);
  }

  take(name: string): void {
    this.#order.delete(name);
    this.#left -= 1;
  }

  /** It has to wait, and comes last. */
  putBack(name: string): void {
    this.#order.add(name);
  }

  rest({ drop, ...waiting }: WaitingDrop, seconds: number): void {
    const until = this.#now() + seconds * this.#restFactor;
    this.#rests.set(drop.name, { files: filesOf(waiting), until });
  }

  #endRests(waiting: readonly WaitingDrop[]): void {
    const files = new Map(waiting.map((one) => [one.drop.name, filesOf(one)]));
    const now = this.#now();
    for (const [name, rest] of this.#rests)
      if (now >= rest.until || files.get(name) !== rest.files) this.#rests.delete(name);
  }
}

function filesOf({ states }: Pick<WaitingDrop, 'states'>): string {
  return states.map(({ device, inode }) => `${device}:${inode}`).join(' ');
}
