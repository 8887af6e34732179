import type { WaitingDrop } from '../spool/scan.js';

/**
 * After a failed claim, a drop is not tried for this many times as long as the claim took: one that is copied
 * from another filesystem and given back again and again must not block the others.
 */
const BACKOFF_FACTOR = 3;

/**
 * Drops whose claim failed and which are not tried for a while, by name. Other files with that name are
 * another drop.
 */
export class ClaimBackoff {
  readonly #factor: number;
  readonly #drops = new Map<string, { files: string; until: number }>();

  constructor(factor = BACKOFF_FACTOR) {
    this.#factor = factor;
  }

  /** `seconds` is how long its claim took to fail. */
  begin(waiting: WaitingDrop, seconds: number): void {
    const until = performance.now() + seconds * this.#factor * 1000;
    this.#drops.set(waiting.drop.name, { files: filesOf(waiting), until });
  }

  /** Removes entries that have expired, and those of drops that are no longer among `waiting`. */
  end(waiting: readonly WaitingDrop[]): void {
    const files = new Map(waiting.map((each) => [each.drop.name, filesOf(each)]));
    for (const [name, entry] of this.#drops)
      if (performance.now() >= entry.until || files.get(name) !== entry.files) this.#drops.delete(name);
  }

  has(name: string): boolean {
    return this.#drops.has(name);
  }
}

function filesOf({ states }: WaitingDrop): string {
  return states.map(({ device, inode }) => `${device}:${inode}`).join(' ');
}
