import { lstat, readdir, statfs } from 'node:fs/promises';
import { isErrorCode } from '../errors/errno.js';
import { errorRecord, Hyper2kvmError, isFullDisk } from '../errors/error.js';
import { formatBytes } from '../text/format.js';

/** Bytes that this user may still write on the filesystem of a path. */
export async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

export interface Space {
  /** Bytes that this user may still write. */
  free: number;
  /** Bytes that this user could write were the filesystem empty. */
  total: number;
}

/**
 * Of the filesystem of a path. Some in user space say 0 of everything: their total is unknown, so without
 * end.
 */
export async function spaceOf(path: string): Promise<Space> {
  const { blocks, bfree, bavail, bsize } = await statfs(path);
  const total = blocks === 0 ? Number.POSITIVE_INFINITY : (blocks - (bfree - bavail)) * bsize;
  return { free: bavail * bsize, total };
}

/**
 * Bytes that a file, or a directory with all that is in it, takes up on disk; 0 where nothing is. Links are
 * not followed.
 */
export async function usedBytes(path: string | Buffer): Promise<number> {
  const bytes = Buffer.from(path as string);
  const stats = await lstat(bytes).catch((error: unknown) => {
    // Scratch comes and goes.
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
 * The error of a job that cannot fit on the filesystem of `directory`, whoever else is on it. Sizes in bytes;
 * `kept` is the drop's.
 */
export function noSpace(directory: string, needed: number, { free, total }: Space, kept = 0): Hyper2kvmError {
  const beside = kept === 0 ? '' : ` beside the ${formatBytes(kept)} of the drop`;
  return new Hyper2kvmError(
    'host.no-space',
    `at most ${formatBytes(needed)} are needed under ${directory}${beside}, and its filesystem has ${formatBytes(free)} free of ${formatBytes(total)} in total`,
  );
}

/** What is free when nothing of use fits any more. */
const FULL_BYTES = 1024 ** 2;
/** Said by the VM, the drop or the operator's own program, whatever the disk. */
const NOT_OF_THE_DISK = /^((source|plan|hook)\.|host\.(no-space|waits-for-space)$)/;

/**
 * The error, or `host.enospc` with it as the cause where the disk of `directory` is full: a tool or the
 * appliance that cannot write says so in many ways, some of which look like the VM's fault (QEMU aborts over
 * a picture of its screen, libguestfs "cancels" a read). To be asked before anything is removed; what a
 * caller would have expected (a file that is not there) is not told apart on a full disk.
 */
export async function orFullDisk(error: unknown, directory: string): Promise<unknown> {
  const record = errorRecord(error);
  if (isFullDisk(record) || NOT_OF_THE_DISK.test(record.code) || !(await isFull(directory))) return error;
  return new Hyper2kvmError(
    'host.enospc',
    `The disk with ${directory} is full (met as ${record.code}: ${record.message})`,
    {
      retryable: true,
      cause: error,
    },
  );
}

/** False where it cannot be told: the error then stands as it is. */
async function isFull(directory: string): Promise<boolean> {
  try {
    const { blocks, bavail, bsize } = await statfs(directory);
    // Some filesystems in user space say 0 of everything.
    return blocks > 0 && bavail * bsize < FULL_BYTES;
  } catch {
    return false;
  }
}
