import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import koffi from 'koffi';
import type { Look } from './look.js';

/** fcntl(2), linux/fcntl.h. */
const F_SETLEASE = 1024;
const F_RDLCK = 0;
const F_UNLCK = 2;
/** errno of a lease that cannot be had because somebody has the file open for writing. */
const EAGAIN = 11;

type SetLease = (descriptor: number, command: number, type: 'int', value: number) => number;
let setLease: SetLease | undefined;

function loadSetLease(): SetLease {
  // Somebody who opens the file in the instant of the test breaks the lease; the kernel says so by SIGIO, which would end the process.
  process.on('SIGIO', () => {});
  return koffi.load('libc.so.6').func('int fcntl(int fd, int cmd, ...)') as SetLease;
}

/**
 * Whether any process has the file open for writing: the kernel refuses a read lease then (fcntl(2), F_SETLEASE). `unknown` where leases do not
 * work: network filesystems, and files of other users without CAP_LEASE. It sees the writer that pauses for longer than `settle_seconds`.
 */
export async function isBeingWritten(path: string): Promise<'yes' | 'no' | 'unknown'> {
  setLease ??= loadSetLease();
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    // Not readable, a link, or gone: FETCH says so in words.
    return 'unknown';
  }
  try {
    if (setLease(handle.fd, F_SETLEASE, 'int', F_RDLCK) === 0) {
      setLease(handle.fd, F_SETLEASE, 'int', F_UNLCK);
      return 'no';
    }
    return koffi.errno() === EAGAIN ? 'yes' : 'unknown';
  } finally {
    await handle.close();
  }
}

/** Whether somebody still writes to a file of a drop, or to one directly in its directory. */
export async function hasWriter(
  incoming: string,
  looks: readonly Look[],
  signal: AbortSignal,
): Promise<boolean> {
  for (const { entry } of looks) {
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
