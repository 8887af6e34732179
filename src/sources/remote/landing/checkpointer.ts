import type { FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { BLOCK_BYTES } from './block-map.js';
import type { Journal } from './journal.js';

/** Data that is not durable yet is fetched again after a crash. */
const MOST_BYTES = 64 * 1024 * 1024;
const LONGEST_MILLISECONDS = 2_000;
const SHORTEST_MILLISECONDS = 20;
/** A disk that syncs slowly is synced less often, so that this takes a fifth of its time at most. */
const REST_FACTOR = 4;

/** Makes landed blocks durable in groups, then records them. */
export class Checkpointer {
  readonly #file: FileHandle;
  readonly #journal: Journal;
  #written: number[] = [];
  #isEnding = false;
  #wake: () => void = () => {};
  #loop: Promise<void> | null = null;

  constructor(file: FileHandle, journal: Journal) {
    this.#file = file;
    this.#journal = journal;
  }

  /** Begins in the background. A failure is thrown by `end`, and passed to `onError` when it happens. */
  start(onError: (error: unknown) => void): void {
    this.#loop = this.#run();
    this.#loop.catch(onError);
  }

  /** A block was written, or needs no writing. */
  add(block: number): void {
    this.#written.push(block);
    if (this.#written.length * BLOCK_BYTES >= MOST_BYTES) this.#wake();
  }

  /** Records what is left. */
  async end(): Promise<void> {
    this.#isEnding = true;
    this.#wake();
    await this.#loop;
    await this.#sync();
  }

  async #run(): Promise<void> {
    let rest = SHORTEST_MILLISECONDS;
    while (!this.#isEnding) {
      await this.#pause(rest);
      const started = performance.now();
      await this.#sync();
      const took = performance.now() - started;
      rest = Math.min(LONGEST_MILLISECONDS, Math.max(SHORTEST_MILLISECONDS, took * REST_FACTOR));
    }
  }

  async #pause(milliseconds: number): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await sleep(milliseconds, undefined, { signal: woken.signal }).catch(() => undefined);
  }

  async #sync(): Promise<void> {
    const blocks = this.#written;
    if (blocks.length === 0) return;
    this.#written = [];
    await this.#file.datasync();
    await this.#journal.add(blocks);
  }
}
