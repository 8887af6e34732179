import { open } from 'node:fs/promises';
import { digestInThread } from '../../../files/digest.js';

/**
 * The SHA-256 of a file, computed in a thread while the file is landed: behind the first byte that is missing,
 * so that what it reads is still in the page cache.
 */
export class LandingDigest {
  readonly #ended = new AbortController();
  readonly #result: Promise<string>;
  readonly #size: number;
  #landed = 0;
  #moved: () => void = () => {};

  constructor(path: string, size: number, signal: AbortSignal) {
    this.#size = size;
    this.#result = this.#digest(path, AbortSignal.any([signal, this.#ended.signal]));
    // Rejects also when nobody waits for it yet.
    this.#result.catch(() => undefined);
  }

  /** Everything before this byte has its final content; it may be behind the end. */
  advance(to: number): void {
    this.#landed = Math.max(this.#landed, Math.min(to, this.#size));
    this.#moved();
  }

  end(): Promise<string> {
    return this.#result;
  }

  /** Stops the thread, whatever it has. */
  async stop(): Promise<void> {
    this.#ended.abort(new Error('the digest is not needed'));
    await this.#result.catch(() => undefined);
  }

  async #digest(path: string, signal: AbortSignal): Promise<string> {
    const file = await open(path, 'r');
    try {
      return await digestInThread(file, this.#size, { signal, follow: (at) => this.#follow(at) });
    } finally {
      await file.close();
    }
  }

  async #follow(at: number): Promise<number> {
    while (this.#landed <= at)
      await new Promise<void>((resolve) => {
        this.#moved = resolve;
      });
    return this.#landed;
  }
}
