import type { FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Journal } from './journal.js';
import type { UnsyncedBlocks } from './unsynced-blocks.js';

/** The most that a power failure costs. */
const MOST_BYTES = 64 * 1024 * 1024;
const INTERVAL_MILLISECONDS = 1_000;

/** Makes landed blocks durable in groups, then records them. */
export class Checkpointer {
  readonly #file: FileHandle;
  readonly #journal: Journal;
  readonly #unsynced: UnsyncedBlocks;
  #isEnding = false;
  #wake: () => void = () => {};
  #loop: Promise<void> | null = null;

  constructor(file: FileHandle, journal: Journal, unsynced: UnsyncedBlocks) {
    this.#file = file;
    this.#journal = journal;
    this.#unsynced = unsynced;
  }

  /** Begins in the background. A failure is thrown by `end`, and passed to `onError` when it happens. */
  start(onError: (error: unknown) => void): void {
    this.#loop = this.#run();
    this.#loop.catch(onError);
  }

  /** A block was written, or needs no writing. */
  async add(block: number, bytes: Buffer): Promise<void> {
    await this.#unsynced.add(block, bytes);
    if (this.#unsynced.bytes >= MOST_BYTES) this.#wake();
  }

  /** Records what is left. */
  async end(): Promise<void> {
    this.#isEnding = true;
    this.#wake();
    await this.#loop;
    await this.#sync();
  }

  async #run(): Promise<void> {
    while (!this.#isEnding) {
      await this.#pause();
      await this.#sync();
    }
  }

  async #pause(): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await sleep(INTERVAL_MILLISECONDS, undefined, { signal: woken.signal }).catch(() => undefined);
  }

  async #sync(): Promise<void> {
    const { blocks } = this.#unsynced;
    if (blocks.length === 0) return;
    await this.#file.datasync();
    await this.#journal.add(blocks);
    await this.#unsynced.remove(blocks);
  }
}
