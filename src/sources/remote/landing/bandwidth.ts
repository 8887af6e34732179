import { setTimeout as sleep } from 'node:timers/promises';

const MIB = 1024 * 1024;

/** A limit on what all transfers of this process receive in a second. */
export class Bandwidth {
  #bytesPerSecond = 0;
  /** When what has been received so far may have arrived, by the monotonic clock (ms). */
  #paidUntil = 0;

  /** Sets the limit; 0 for none. */
  limit(mib: number): void {
    this.#bytesPerSecond = mib * MIB;
  }

  /** Waits as long as these bytes should have taken. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.#bytesPerSecond === 0) return;
    const now = performance.now();
    this.#paidUntil = Math.max(this.#paidUntil, now) + (bytes / this.#bytesPerSecond) * 1000;
    if (this.#paidUntil - now > 1) await sleep(this.#paidUntil - now, undefined, { signal });
  }
}
