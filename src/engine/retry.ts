import type { ErrorRecord } from '../errors/error.js';

export interface RetrySettings {
  attempts: number;
  backoffSeconds: number;
}

export type RetryDecision = { retry: true; waitSeconds: number } | { retry: false; error: ErrorRecord };

const LONGEST_WAIT_SECONDS = 600;

/**
 * What follows the failed attempt number `failures.length`. Only passing errors are tried again, with a wait
 * that doubles. The same failure twice in a row is no passing one, whatever its flag says: then, and after
 * the last attempt, the error is given up with all its causes. Conditions of the host (`host.*`: full disk,
 * out of memory) look the same each time and still pass: for them only the number of attempts counts.
 */
export function decideRetry(failures: readonly ErrorRecord[], settings: RetrySettings): RetryDecision {
  const last = failures.at(-1)!;
  const before = failures.at(-2);
  const same = before !== undefined && before.code === last.code && before.message === last.message;
  const isStuck = same && !last.code.startsWith('host.');
  if (last.retryable && !isStuck && failures.length < settings.attempts) {
    return { retry: true, waitSeconds: backoff(failures.length, settings.backoffSeconds) };
  }
  return { retry: false, error: withHistory(failures) };
}

/** Seconds to wait after so many failures in a row: doubles from the first, at most ten minutes. */
export function backoff(failures: number, firstSeconds: number): number {
  return Math.min(firstSeconds * 2 ** (failures - 1), LONGEST_WAIT_SECONDS);
}

function withHistory(failures: readonly ErrorRecord[]): ErrorRecord {
  const last = failures.at(-1)!;
  const history = failures
    .slice(0, -1)
    .flatMap((failure, index) => [
      `attempt ${index + 1}: ${failure.code}: ${failure.message}`,
      ...failure.causes,
    ]);
  return { ...last, causes: [...last.causes, ...history] };
}
