import type { WaitingDrop } from '../spool/scan.js';

/**
 * Whose claim is tried next. A new drop comes last, and so does one that has to wait, so that neither keeps
 * the others for ever.
 */
export class DropTurns {
  /** Due drops by name, in the order of their turns. */
  readonly #order = new Set<string>();
  /** How many due drops have not had a turn in this pass. */
  #left = 0;

  /** Every due drop gets a turn again. */
  startPass(): void {
    this.#left = Number.POSITIVE_INFINITY;
  }

  /** A pass that runs out of time goes on in the next round. */
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

  /** It has to wait, and comes last. */
  putBack(name: string): void {
    this.#order.add(name);
  }
}
