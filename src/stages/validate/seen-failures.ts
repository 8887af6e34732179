import type { Signature } from '../../families/base/boot-patterns.js';
import { type BootLevel, rank } from '../../model/boot.js';
import type { Failure } from './other-failures.js';

/** Of one failure. More say nothing more. */
const MAX_NAMES = 16;

/** The signs of failures that a boot has shown since its last reset, and what the guest has named as failed. */
export class SeenFailures {
  readonly #signatures: readonly Signature[];
  /** By the time of their first sign. */
  readonly #seen = new Map<Signature, number>();
  /** By the pattern that finds them. */
  readonly #names = new Map<RegExp, Set<string>>();

  constructor(signatures: readonly Signature[]) {
    this.#signatures = signatures;
  }

  /** Takes in a line that the guest shows at `level`. */
  line(line: string, level: BootLevel, at: number): void {
    for (const row of this.#signatures) {
      if (rank(level) > rank(row.within) || !row.pattern.test(line)) continue;
      if (!this.#seen.has(row)) this.#seen.set(row, at);
      // Such a message has no line end before the job that it tells of has ended.
      this.collectNames(line);
    }
  }

  /** Takes in what a picture of the screen shows; null for nothing that is known. */
  picture(kind: string | null, level: BootLevel, at: number): void {
    for (const row of this.#signatures) {
      if (row.picture === undefined) continue;
      if (row.picture !== kind || rank(level) > rank(row.within)) this.#seen.delete(row);
      else if (!this.#seen.has(row)) this.#seen.set(row, at);
    }
  }

  collectNames(line: string): void {
    for (const { names: pattern } of this.#signatures) {
      const name = pattern?.exec(line)?.[1];
      if (pattern === undefined || name === undefined) continue;
      const names = this.#names.get(pattern) ?? new Set();
      this.#names.set(pattern, names);
      if (names.size < MAX_NAMES) names.add(name);
    }
  }

  /** Forgets what the boot has got over by reaching `level`. */
  disprove(level: BootLevel): void {
    for (const row of this.#seen.keys()) {
      if (rank(level) > rank(row.within)) this.#seen.delete(row);
    }
  }

  /** Forgets all but what a restart is the end of. */
  reset(): void {
    this.#names.clear();
    for (const row of this.#seen.keys()) {
      if (row.within !== 'login') this.#seen.delete(row);
    }
  }

  /** Returns the most specific failure, if one of them has lasted long enough. */
  due(at: number): Signature | undefined {
    const seen = [...this.#seen];
    if (!seen.some(([row, since]) => at - since >= row.settleSeconds)) return undefined;
    return this.#signatures.find((row) => this.#seen.has(row));
  }

  /** Returns the failure with what the guest has named. */
  describe({ signature, meaning, advice, names: pattern }: Signature): Failure {
    const named = pattern === undefined ? undefined : this.#names.get(pattern);
    return { signature, meaning, advice, ...(named === undefined ? {} : { named: [...named] }) };
  }
}
