import { constants } from 'node:fs';
import { type FileHandle, open, statfs } from 'node:fs/promises';
import { constants as system } from 'node:os';
import koffi from 'koffi';

/** fcntl(2), linux/fcntl.h. */
const F_SETSIG = 10;
const F_SETLEASE = 1024;
const F_GETLEASE = 1025;
const F_RDLCK = 0;
const F_UNLCK = 2;
/**
 * The signal by which the kernel reports a lease break, which is polled for instead. The default SIGIO would
 * end the process; SIGURG is ignored unless there is a handler.
 */
const HARMLESS_SIGNAL = system.signals.SIGURG;

type Fcntl = (descriptor: number, command: number, type: 'int', value: number) => number;
let library: Fcntl | undefined;
const fcntl: Fcntl = (...args) => {
  library ??= koffi.load('libc.so.6').func('int fcntl(int fd, int cmd, ...)') as Fcntl;
  return library(...args);
};

/**
 * NFS, CIFS and SMB (linux/magic.h) grant leases only as far as their server does, and return EAGAIN for any
 * other reason, too.
 */
const NETWORK_FILESYSTEMS = new Set([0x6969, 0xff534d42, 0xfe534d42]);

/**
 * `held`: nobody has the file open for writing, and opening it for writing blocks until the lease is
 * released, or for the time in /proc/sys/fs/lease-break-time. `writer`: somebody has it open for writing.
 * `unsupported`: this filesystem has no leases, or not for this user (fcntl(2): on files of others CAP_LEASE
 * is needed).
 */
export type ReadLease = 'held' | 'writer' | 'unsupported';

/**
 * Requests a read lease (fcntl(2), F_SETLEASE) on a file that is open for reading only. It ends when the
 * handle is closed.
 */
export async function takeReadLease(path: string, { fd }: FileHandle): Promise<ReadLease> {
  fcntl(fd, F_SETSIG, 'int', HARMLESS_SIGNAL);
  if (fcntl(fd, F_SETLEASE, 'int', F_RDLCK) === 0) return 'held';
  if (koffi.errno() !== system.errno.EAGAIN) return 'unsupported';
  return NETWORK_FILESYSTEMS.has((await statfs(path)).type) ? 'unsupported' : 'writer';
}

/**
 * False from the moment somebody tries to open the file for writing (or to truncate it), even while that open
 * still blocks.
 */
export function hasReadLease({ fd }: FileHandle): boolean {
  return fcntl(fd, F_GETLEASE, 'int', 0) === F_RDLCK;
}

export function returnLease({ fd }: FileHandle): void {
  fcntl(fd, F_SETLEASE, 'int', F_UNLCK);
}

/** Opens for reading, follows no link in the last component, and does not wait for the writer of a FIFO. */
export function openToRead(path: string | Buffer): Promise<FileHandle> {
  return open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY);
}
