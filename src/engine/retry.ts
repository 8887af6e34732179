import type { ErrorRecord } from '../errors/error.js';

export interface RetrySettings {
  attempts: number;
  backoffSeconds: number;
}

export type RetryDecision = { retry: true; waitSeconds: number } | { retry: false; error: ErrorRecord };

const LONGEST_WAIT_SECONDS = 600;

/**
 * Decides what follows the failed attempt number `failures.length`. Only retryable errors are tried again,
 * after a wait that doubles. The same failure twice in a row is not transient, whatever its flag says. In
 * that case, and after the last attempt, the error is final, with all earlier ones as its causes. Conditions
 * of the host (`host.*`: full disk, out of memory) and of other hosts (`remote.*`: a network that is down)
 * look the same each time although they pass, so only the number of attempts counts for them.
 */
export function decideRetry(failures: readonly ErrorRecord[], settings: RetrySettings): RetryDecision {
  const last = failures.at(-1)!;
  const before = failures.at(-2);
  const same = before !== undefined && before.code === last.code && before.message === last.message;
  const isStuck = same && !/^(host|remote)\./.test(last.code);
  if (last.retryable && !isStuck && failures.length < settings.attempts) {
    return { retry: true, waitSeconds: backoff(failures.length, settings.backoffSeconds) };
  }
  return { retry: false, error: withHistory(failures) };
}

/**
 * Returns the seconds to wait after that many failures in a row: doubling from the first, at most ten
 * minutes.
 */
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
