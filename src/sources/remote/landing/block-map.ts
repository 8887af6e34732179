/**
 * The blocks that a file is landed in: what the journal counts. Requests ask for several at once. A kill costs
 * the block that each request has in hand.
 */
export const BLOCK_BYTES = 256 * 1024;

const FREE = 0;
const TAKEN = 1;
const DONE = 2;

/** Consecutive blocks, `end` excluded. */
export interface BlockRun {
  first: number;
  end: number;
}

/** Which blocks of a file are landed, and which are on their way. One byte a block. */
export class BlockMap {
  readonly #states: Uint8Array;
  #done = 0;
  /** No block before it is free. */
  #firstFree = 0;
  #frontier = 0;

  constructor(size: number) {
    this.#states = new Uint8Array(Math.ceil(size / BLOCK_BYTES));
  }

  get count(): number {
    return this.#states.length;
  }

  get isWhole(): boolean {
    return this.#done === this.count;
  }

  get done(): number {
    return this.#done;
  }

  /** The first block that is not done: everything before it is. */
  get frontier(): number {
    while (this.#frontier < this.count && this.#states[this.#frontier] === DONE) this.#frontier += 1;
    return this.#frontier;
  }

  isDone(block: number): boolean {
    return this.#states[block] === DONE;
  }

  finish({ first, end }: BlockRun): void {
    for (let block = first; block < Math.min(end, this.count); block += 1) {
      if (this.#states[block] !== DONE) this.#done += 1;
      this.#states[block] = DONE;
    }
  }

  /** Returns the next free blocks, at most so many, and marks them as taken; null if none is free. */
  take(most: number): BlockRun | null {
    while (this.#firstFree < this.count && this.#states[this.#firstFree] !== FREE) this.#firstFree += 1;
    const first = this.#firstFree;
    let end = first;
    while (end < this.count && end - first < most && this.#states[end] === FREE) {
      this.#states[end] = TAKEN;
      end += 1;
    }
    return end === first ? null : { first, end };
  }

  /** Makes those of the blocks free again that were taken and did not arrive. */
  giveBack({ first, end }: BlockRun): void {
    for (let block = first; block < end; block += 1)
      if (this.#states[block] === TAKEN) this.#states[block] = FREE;
    this.#firstFree = Math.min(this.#firstFree, first);
  }
}
