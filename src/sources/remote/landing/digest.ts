import { runInThread } from '../../../host/thread.js';

const THREAD = new URL('./digest-thread.js', import.meta.url);
/** For one step of the size below, from a slow disk. */
const LIMITS = { seconds: 600, memoryMib: 64 };
const STEP_BYTES = 256 * 1024 * 1024;

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
    this.#result = runInThread<string>(
      THREAD,
      { path, size },
      { ...LIMITS, signal: AbortSignal.any([signal, this.#ended.signal]) },
      { reply: (at) => this.#reply(at as number) },
    );
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

  async #reply(at: number): Promise<number> {
    while (this.#landed <= at)
      await new Promise<void>((resolve) => {
        this.#moved = resolve;
      });
    return Math.min(this.#landed, at + STEP_BYTES);
  }
}
