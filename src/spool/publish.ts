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
 * Returns the name that a directory has on another filesystem until it is complete. What a killed daemon left
 * is removed by the next attempt.
 */
export function partialName(path: string): string {
  return join(dirname(path), `.${basename(path)}.partial`);
}

/**
 * Makes a complete, fsynced directory appear at `to` by one rename, durably. From another filesystem it is
 * copied beside `to` first, and `assertCopied` may still reject the copy. `to` must not exist. The caller
 * removes what is left at `from` after a copy. Errors: `host.no-space`, `host.enospc` before a copy that does
 * not fit (now).
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
    // The new name is synced first, so that a crash never loses both names.
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
      // A partial copy would keep the full disk full.
      await tryToRemove(partial);
      throw failure;
    }
    failpoint('publish.copied');
    await rename(partial, to);
  }
  await syncPath(dirname(to));
}

/**
 * Checks that a copy fits. Not needed between two mounts of one filesystem, where a copy may share its blocks
 * with the original.
 */
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
