import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { openToRead, type ReadLease, returnLease, takeReadLease } from '../files/lease.js';
import type { EntryState } from './entry-state.js';

const ANSWERS = { held: 'no', writer: 'yes', unsupported: 'unknown' } as const satisfies Record<
  ReadLease,
  string
>;

/**
 * Returns whether any process has the file open for writing, which makes the kernel refuse a read lease.
 * `unknown` if leases do not work: on network filesystems, and for files of other users without CAP_LEASE.
 * This detects a writer that pauses for longer than `settle_seconds`.
 */
export async function isBeingWritten(path: string): Promise<'yes' | 'no' | 'unknown'> {
  let handle: FileHandle;
  try {
    handle = await openToRead(path);
  } catch {
    // Not readable, a link, or gone: FETCH reports it.
    return 'unknown';
  }
  try {
    const lease = await takeReadLease(path, handle);
    if (lease === 'held') returnLease(handle);
    return ANSWERS[lease];
  } finally {
    await handle.close();
  }
}

/** Whether another process still writes to a file of a drop, or to one directly in its directory. */
export async function hasWriter(
  incoming: string,
  states: readonly EntryState[],
  signal: AbortSignal,
): Promise<boolean> {
  for (const { entry } of states) {
    const inside = entry.children
      ?.filter(({ type }) => type === 'file')
      .map(({ name }) => join(entry.name, name));
    for (const name of inside ?? [entry.name]) {
      signal.throwIfAborted();
      if ((await isBeingWritten(join(incoming, name))) === 'yes') return true;
    }
  }
  return false;
}
