import { open } from 'node:fs/promises';
import { digestInThread, sha256File } from '../../../files/digest.js';

/** Up to this size, a thread takes longer to start than to compute: a VM has many small files beside its disks. */
const SMALL_BYTES = 4 * 1024 * 1024;

/**
 * The SHA-256 of a file, computed in a thread while the file is landed: behind the first byte that is missing,
 * so that what it reads is still in the page cache. That of a small file is computed at the end.
 */
export class LandingDigest {
  readonly #ended = new AbortController();
  readonly #path: string;
  readonly #signal: AbortSignal;
  /** The thread's answer; null for a small file. */
  readonly #result: Promise<string> | null;
  readonly #size: number;
  #landed = 0;
  #moved: () => void = () => {};

  constructor(path: string, size: number, signal: AbortSignal) {
    this.#path = path;
    this.#size = size;
    this.#signal = AbortSignal.any([signal, this.#ended.signal]);
    this.#result = size > SMALL_BYTES ? this.#digest() : null;
    // Rejects also when nobody waits for it yet.
    this.#result?.catch(() => undefined);
  }

  /** Everything before this byte has its final content; it may be behind the end. */
  advance(to: number): void {
    this.#landed = Math.max(this.#landed, Math.min(to, this.#size));
    this.#moved();
  }

  end(): Promise<string> {
    return this.#result ?? sha256File(this.#path, { signal: this.#signal });
  }

  /** Stops the thread, whatever it has. */
  async stop(): Promise<void> {
    this.#ended.abort(new Error('the digest is not needed'));
    await this.#result?.catch(() => undefined);
  }

  async #digest(): Promise<string> {
    const file = await open(this.#path, 'r');
    try {
      const follow = ({ at }: { at: number }) => this.#follow(at);
      return (await digestInThread(file, this.#size, { signal: this.#signal, follow })).sha256;
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
