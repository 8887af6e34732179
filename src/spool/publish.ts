import { lstat, mkdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { isErrorCode } from '../errors/errno.js';
import { Hyper2kvmError } from '../errors/error.js';
import { syncPath } from '../files/durable.js';
import { tryToRemove } from '../files/remove.js';
import { noSpace, spaceOf, usedBytes } from '../files/space.js';
import { failpoint } from '../host/failpoint.js';
import { copyTree } from '../sources/local/copy-drop.js';
import { formatBytes } from '../text/format.js';

/**
 * The name that a directory has on another filesystem until it is whole; a leftover of a killed daemon is
 * removed by the next try.
 */
export function partialName(path: string): string {
  return join(dirname(path), `.${basename(path)}.partial`);
}

/**
 * A complete, fsynced directory appears at `to` by one rename, durably; from another filesystem it is copied
 * beside `to` first, and `assertCopied` may still reject it. `to` must not exist. What is at `from`
 * afterwards (after a copy) is the caller's to remove. Errors: `host.no-space`, `host.enospc` before a copy
 * that does not fit (now).
 */
export async function publishDirectory(
  from: string,
  to: string,
  signal: AbortSignal,
  assertCopied: () => Promise<void> = async () => {},
): Promise<void> {
  await mkdir(dirname(to), { recursive: true, mode: 0o750 });
  await syncPath(dirname(dirname(to)));
  try {
    await rename(from, to);
    // First where it is now: no filesystem may lose both names.
    await syncPath(dirname(to));
    await syncPath(dirname(from));
    return;
  } catch (error) {
    if (!isErrorCode(error, 'EXDEV')) throw error;
    const partial = partialName(to);
    await rm(partial, { recursive: true, force: true });
    await assertRoom(from, dirname(to));
    try {
      await copyTree(from, partial, signal);
      await assertCopied();
    } catch (failure) {
      // Half a copy would keep the disk full that it failed on.
      await tryToRemove(partial);
      throw failure;
    }
    failpoint('publish.copied');
    await rename(partial, to);
  }
  await syncPath(dirname(to));
}

/** Not between two mounts of one filesystem: there a copy may share its blocks with the original. */
async function assertRoom(from: string, directory: string): Promise<void> {
  if (await isSameFilesystem(from, directory)) return;
  const [needed, space] = await Promise.all([usedBytes(from), spaceOf(directory)]);
  if (needed > space.total) throw noSpace(directory, needed, space);
  if (needed <= space.free) return;
  throw new Hyper2kvmError(
    'host.enospc',
    `${formatBytes(needed)} are needed under ${directory}, and ${formatBytes(space.free)} are free`,
    { retryable: true },
  );
}

export async function isSameFilesystem(a: string, b: string): Promise<boolean> {
  return (await lstat(a)).dev === (await lstat(b)).dev;
}
