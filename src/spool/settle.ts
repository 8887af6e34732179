import type { Drop } from '../model/drop.js';

/**
 * What is known of one name in incoming: since when its fingerprint has been the same, by a monotonic clock
 * in seconds.
 */
export interface Settling {
  fingerprint: string;
  since: number;
  /** When it was last read. */
  checkedAt: number;
}

/** Takes a new fingerprint into account: any other one starts the wait again. */
export function settle(previous: Settling | undefined, fingerprint: string, now: number): Settling {
  const same = previous?.fingerprint === fingerprint;
  return { fingerprint, since: same ? previous.since : now, checkedAt: now };
}

/**
 * How long all of them were seen unchanged. It counts up to the last check, not up to now: nobody knows what
 * came after.
 */
export function quietSeconds(parts: readonly Settling[]): number {
  const since = Math.max(...parts.map((part) => part.since));
  const checkedAt = Math.min(...parts.map((part) => part.checkedAt));
  return Math.max(0, checkedAt - since);
}

const LONGEST_INTERVAL_SECONDS = 600;

/**
 * When to check again, as a time of the same clock. What has been quiet for long is checked seldom, at a
 * quarter of its age: ten thousand files that only lie there cost next to nothing. `dueAfter`: the quiet time
 * after which the drop is due; the next check is never scheduled later.
 */
export function nextCheck(part: Settling, pollSeconds: number, dueAfter: number): number {
  const quiet = part.checkedAt - part.since;
  const interval = Math.min(Math.max(pollSeconds, quiet / 4), LONGEST_INTERVAL_SECONDS);
  if (quiet >= dueAfter) return part.checkedAt + interval;
  return Math.min(part.checkedAt + interval, part.since + dueAfter);
}

/**
 * An incomplete drop waits this many times `settle_seconds` (without any change) before it is taken anyway
 * and fails with its reason.
 */
export const PATIENCE_FACTOR = 10;
export const MIN_PATIENCE_SECONDS = 5;

/**
 * The rule of settling. `quietSeconds`: how long size, mtime, ctime and inode of all of the drop's files, and
 * the list of the files, have been the same. Complete or refused: `settleSeconds`. Incomplete: ten times
 * that, at least 5 s; every new byte or sibling starts it again, so a slow copy or a chain dropped piece by
 * piece is never taken early, and a truncated file does not wait for ever.
 */
export function isDue(drop: Drop, quietSeconds: number, settleSeconds: number): boolean {
  if (drop.problem !== undefined || drop.waiting?.kind === 'unchecked') return false;
  if (drop.waiting === null || drop.refused !== null) return quietSeconds >= settleSeconds;
  return quietSeconds >= Math.max(settleSeconds * PATIENCE_FACTOR, MIN_PATIENCE_SECONDS);
}
