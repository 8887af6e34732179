import type { Drop } from '../model/drop.js';

/**
 * One name in incoming, and since when its fingerprint has been the same, by a monotonic clock in seconds.
 */
export interface Settling {
  fingerprint: string;
  since: number;
  /** When it was last read. */
  checkedAt: number;
}

/** Returns the updated state: a different fingerprint starts the wait again. */
export function settle(previous: Settling | undefined, fingerprint: string, now: number): Settling {
  const same = previous?.fingerprint === fingerprint;
  return { fingerprint, since: same ? previous.since : now, checkedAt: now };
}

/**
 * Returns how long all parts were seen unchanged. It counts up to the last check, not up to now, because
 * later changes are unknown.
 */
export function quietSeconds(parts: readonly Settling[]): number {
  const since = Math.max(...parts.map((part) => part.since));
  const checkedAt = Math.min(...parts.map((part) => part.checkedAt));
  return Math.max(0, checkedAt - since);
}

const LONGEST_INTERVAL_SECONDS = 600;

/**
 * Returns when to check again, as a time of the same clock. The longer a name is unchanged, the less often it
 * is checked (at a quarter of its age), so that ten thousand idle files cost next to nothing. `dueAfter` is
 * the quiet time after which the drop is due; the next check is never scheduled later.
 */
export function nextCheck(part: Settling, pollSeconds: number, dueAfter: number): number {
  const quiet = part.checkedAt - part.since;
  const interval = Math.min(Math.max(pollSeconds, quiet / 4), LONGEST_INTERVAL_SECONDS);
  if (quiet >= dueAfter) return part.checkedAt + interval;
  return Math.min(part.checkedAt + interval, part.since + dueAfter);
}

/**
 * An incomplete drop waits this many times `settle_seconds` (without any change); then it is claimed and
 * fails with its reason.
 */
export const PATIENCE_FACTOR = 10;
export const MIN_PATIENCE_SECONDS = 5;

/**
 * Decides whether a drop has settled. `quietSeconds` is how long size, mtime, ctime and inode of all its
 * files, and the list of the files, have been the same. A complete or refused drop waits for `settleSeconds`,
 * an incomplete one ten times that, at least 5 s. Every new byte or file starts the wait again, so a slow
 * copy or a chain dropped piece by piece is never claimed early, and a truncated file does not wait forever.
 * One that is still being written by its names waits until those are gone: a download that stopped has its
 * full size.
 */
export function isDue(drop: Drop, quietSeconds: number, settleSeconds: number): boolean {
  if (drop.problem !== undefined || drop.waiting?.kind === 'unchecked') return false;
  if (drop.refused === null && drop.waiting?.kind === 'writing') return false;
  if (drop.waiting === null || drop.refused !== null) return quietSeconds >= settleSeconds;
  return quietSeconds >= Math.max(settleSeconds * PATIENCE_FACTOR, MIN_PATIENCE_SECONDS);
}
