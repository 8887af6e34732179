import { setTimeout as sleep } from 'node:timers/promises';
import { Hyper2kvmError } from '../../../errors/error.js';

const FIRST_WAIT_SECONDS = 0.25;
const LONGEST_WAIT_SECONDS = 30;

/**
 * How often requests may fail in a row. Progress of any of them makes the count begin again: a transfer that
 * is cut each minute ends nevertheless.
 */
export class Patience {
  readonly #attempts: number;
  readonly #signal: AbortSignal;
  #progress = 0;
  /** How many failures were survived. */
  retries = 0;

  constructor(attempts: number, signal: AbortSignal) {
    this.#attempts = attempts;
    this.#signal = signal;
  }

  /** Something arrived. */
  progressed(): void {
    this.#progress += 1;
  }

  /** Returns a function for one line of requests, which waits after a failure or throws it. */
  line(): (error: unknown) => Promise<void> {
    let failures = 0;
    let seen = this.#progress;
    return async (error) => {
      this.#signal.throwIfAborted();
      if (this.#progress !== seen) failures = 0;
      failures += 1;
      const isPassing = error instanceof Hyper2kvmError && error.retryable;
      if (!isPassing || failures >= this.#attempts) throw settled(error);
      this.retries += 1;
      const wait = waitOf(error) ?? Math.min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (failures - 1));
      await sleep(wait * 1000, undefined, { signal: this.#signal }).catch(() => undefined);
      this.#signal.throwIfAborted();
      seen = this.#progress;
    };
  }
}

/** What the server asked for with a 429 or 503. */
function waitOf(error: unknown): number | null {
  return error instanceof Hyper2kvmError && 'waitSeconds' in error
    ? (error.waitSeconds as number | null)
    : null;
}

/** A source that is too short each time is too short: no further attempt of the job would get more. */
function settled(error: unknown): unknown {
  if (!(error instanceof Hyper2kvmError) || error.code !== 'remote.truncated') return error;
  return new Hyper2kvmError(error.code, error.message, { cause: error });
}
