import type { WaitingDrop } from '../spool/scan.js';

/**
 * Chooses whose claim is tried next. A new drop comes last, and so does one that has to wait, so that neither
 * blocks the others forever.
 */
export class DropTurns {
  /** Due drops by name, in the order of their turns. */
  readonly #order = new Set<string>();
  /** How many due drops have not had a turn in this pass. */
  #left = 0;

  /** Gives every due drop a turn again. */
  startPass(): void {
    this.#left = Number.POSITIVE_INFINITY;
  }

  /** True if a pass ran out of time; it continues in the next round. */
  get hasMore(): boolean {
    return this.#left > 0;
  }

  /** Takes a new scan into account; returns the drops that have not had a turn in this pass, in order. */
  update(waiting: readonly WaitingDrop[]): WaitingDrop[] {
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

  /** Moves a drop that has to wait to the end. */
  putBack(name: string): void {
    this.#order.add(name);
  }
}
