import { lstat, readdir, statfs } from 'node:fs/promises';
import { isErrorCode } from '../errors/errno.js';
import { errorRecord, Hyper2kvmError, isFullDisk } from '../errors/error.js';
import { formatBytes } from '../text/format.js';

/** Returns the bytes that this user may still write on the filesystem of a path. */
export async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

export interface Space {
  /** Bytes that this user may still write. */
  free: number;
  /** Bytes that this user could write if the filesystem were empty. */
  total: number;
}

/**
 * Returns the space on the filesystem of a path. Some user-space filesystems report 0 for everything: their
 * total is unknown and counts as unlimited.
 */
export async function spaceOf(path: string): Promise<Space> {
  const { blocks, bfree, bavail, bsize } = await statfs(path);
  const total = blocks === 0 ? Number.POSITIVE_INFINITY : (blocks - (bfree - bavail)) * bsize;
  return { free: bavail * bsize, total };
}

/**
 * Returns the bytes that a file, or a directory with everything in it, occupies on disk; 0 if it does not
 * exist. Links are not followed.
 */
export async function usedBytes(path: string | Buffer): Promise<number> {
  const bytes = Buffer.from(path as string);
  const stats = await lstat(bytes).catch((error: unknown) => {
    // Scratch files may disappear meanwhile.
    if (isErrorCode(error, 'ENOENT')) return null;
    throw error;
  });
  if (stats === null) return 0;
  let sum = stats.blocks * 512;
  if (!stats.isDirectory()) return sum;
  for (const name of await readdir(bytes, { encoding: 'buffer' }))
    sum += await usedBytes(Buffer.concat([bytes, Buffer.from('/'), name]));
  return sum;
}

/**
 * Returns the error of a job that cannot fit on the filesystem of `directory`, even if nothing else is on it.
 * Sizes in bytes; `kept` is the drop's.
 */
export function noSpace(directory: string, needed: number, { free, total }: Space, kept = 0): Hyper2kvmError {
  const beside = kept === 0 ? '' : ` beside the ${formatBytes(kept)} of the drop`;
  return new Hyper2kvmError(
    'host.no-space',
    `at most ${formatBytes(needed)} are needed under ${directory}${beside}, and its filesystem has ${formatBytes(free)} free of ${formatBytes(total)} in total`,
  );
}

/** A filesystem with less free space than this counts as full. */
const FULL_BYTES = 1024 ** 2;
/** Codes that describe the VM, the drop or a hook: never caused by a full disk. */
const NOT_OF_THE_DISK = /^((source|plan|hook)\.|host\.(no-space|waits-for-space)$)/;

/**
 * Returns the error, or `host.enospc` with it as the cause if the disk of `directory` is full. A tool or the
 * appliance that cannot write reports that in many ways, some of which look like the VM's fault (QEMU aborts
 * over a screenshot, libguestfs "cancels" a read). Call this before cleaning up. On a full disk every error,
 * even an expected ENOENT, is reported as `host.enospc`.
 */
export async function orFullDisk(error: unknown, directory: string): Promise<unknown> {
  const record = errorRecord(error);
  if (isFullDisk(record) || NOT_OF_THE_DISK.test(record.code) || !(await isFull(directory))) return error;
  return new Hyper2kvmError(
    'host.enospc',
    `The disk with ${directory} is full (reported as ${record.code}: ${record.message})`,
    {
      retryable: true,
      cause: error,
    },
  );
}

/** Returns false if it cannot be determined, which leaves the error as it is. */
async function isFull(directory: string): Promise<boolean> {
  try {
    const { blocks, bavail, bsize } = await statfs(directory);
    // Some user-space filesystems report 0 for everything.
    return blocks > 0 && bavail * bsize < FULL_BYTES;
  } catch {
    return false;
  }
}
