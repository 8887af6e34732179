import { statfs } from 'node:fs/promises';
import { errorRecord, Hyper2kvmError, isFullDisk } from '../errors.js';

/** Bytes that this user may still write on the filesystem of a path. */
export async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/** What is free when nothing of use fits any more. */
const FULL_BYTES = 1024 ** 2;
/** Said by the VM, the drop or the operator's own program, whatever the disk. */
const NOT_OF_THE_DISK = /^(source|plan|hook)\./;

/**
 * The error, or `host.enospc` with it as the cause where the disk of `directory` is full: a tool or the appliance that cannot write says so in many ways, some of which look like the
 * VM's fault (QEMU aborts over a picture of its screen, libguestfs "cancels" a read). To be asked before anything is removed; what a
 * caller would have expected (a file that is not there) is not told apart on a full disk.
 */
export async function orFullDisk(error: unknown, directory: string): Promise<unknown> {
  const record = errorRecord(error);
  if (isFullDisk(record) || NOT_OF_THE_DISK.test(record.code) || !(await isFull(directory))) return error;
  return new Hyper2kvmError(
    'host.enospc',
    `The disk with ${directory} is full (met as ${record.code}: ${record.message})`,
    {
      advice: 'Make room, the job goes on by itself.',
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

/** `3.2 GB`, for people; decimal units, as disks are sold. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
