import type { WaitingDrop } from '../spool/scan.js';

/**
 * A drop rests so many times as long as its claim took to fail: one that is copied from another filesystem
 * and given back, again and again, must not keep the others.
 */
const REST_FACTOR = 3;

/** Drops that are not to be tried for a while, by name. Other files of that name are another drop. */
export class Rests {
  readonly #factor: number;
  readonly #drops = new Map<string, { files: string; until: number }>();

  constructor(factor = REST_FACTOR) {
    this.#factor = factor;
  }

  /** `seconds`: what its claim took to fail. */
  begin(waiting: WaitingDrop, seconds: number): void {
    const until = performance.now() + seconds * this.#factor * 1000;
    this.#drops.set(waiting.drop.name, { files: filesOf(waiting), until });
  }

  /** Ends those that are over, and those of drops that are not among `waiting` any more. */
  end(waiting: readonly WaitingDrop[]): void {
    const files = new Map(waiting.map((each) => [each.drop.name, filesOf(each)]));
    for (const [name, rest] of this.#drops)
      if (performance.now() >= rest.until || files.get(name) !== rest.files) this.#drops.delete(name);
  }

  has(name: string): boolean {
    return this.#drops.has(name);
  }
}

function filesOf({ states }: WaitingDrop): string {
  return states.map(({ device, inode }) => `${device}:${inode}`).join(' ');
}
