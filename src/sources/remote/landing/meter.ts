import type { Progress } from '../../base/source.js';

/** The rate is that of the last seconds. */
const WINDOW_SECONDS = 10;
const INTERVAL_SECONDS = 0.5;

/** Counts what arrives of a whole VM, and reports it now and then. */
export class Meter {
  readonly #report: (progress: Progress) => void;
  readonly #now: () => number;
  #total = 0;
  #there = 0;
  #reportedAt = Number.NEGATIVE_INFINITY;
  #samples: { at: number; received: number }[] = [];
  /** Bytes that came over the network. */
  received = 0;
  /** Bytes that needed no transfer: zeros by the server's own account. */
  skipped = 0;
  step = '';

  /** `now` is monotonic, in seconds. */
  constructor(report: (progress: Progress) => void, now = () => performance.now() / 1000) {
    this.#report = report;
    this.#now = now;
  }

  expect(total: number): void {
    this.#total = total;
  }

  /** Bytes of the VM that are there without a transfer: landed before, or zeros. */
  add(bytes: number): void {
    this.#there += bytes;
    this.#tell();
  }

  /** What was counted has to be fetched again. */
  lose(bytes: number): void {
    this.#there -= bytes;
  }

  /** Bytes that arrived, also if they will not count. */
  receive(bytes: number): void {
    this.received += bytes;
    this.#tell();
  }

  #tell(): void {
    const now = this.#now();
    if (now - this.#reportedAt < INTERVAL_SECONDS) return;
    this.#reportedAt = now;
    this.#samples.push({ at: now, received: this.received });
    while (this.#samples.length > 2 && now - this.#samples[0]!.at > WINDOW_SECONDS) this.#samples.shift();
    const oldest = this.#samples[0]!;
    const rate = now > oldest.at ? (this.received - oldest.received) / (now - oldest.at) : 0;
    const left = Math.max(0, this.#total - this.#there);
    this.#report({
      percent: this.#total === 0 ? 0 : Math.min(100, (100 * this.#there) / this.#total),
      ...(rate > 0 ? { bytesPerSecond: rate, etaSeconds: Math.round(left / rate) } : {}),
      step: this.step,
    });
  }
}
