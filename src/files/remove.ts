import { randomBytes } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Logger } from 'pino';

/** Names of directories that are no longer needed and could not be removed yet; the sweeper tries again. */
export const REMOVED = /^\.removing-/;

/**
 * Returns null if it is gone, otherwise the error: an immutable file, another user's directory. Removal is
 * tried twice, because some errors are transient.
 */
export async function tryToRemove(directory: string): Promise<unknown> {
  const remove = () => rm(directory, { recursive: true, force: true });
  return remove()
    .catch(remove)
    .then(
      () => null,
      (error: unknown) => error,
    );
}

/**
 * Removes a directory that is no longer needed. An entry that cannot be unlinked must not block whoever needs
 * the name, so what is left is renamed to a hidden name, with a warning. Rejects only if that is not possible
 * either.
 */
export async function removeOrHide(directory: string, log: Logger): Promise<void> {
  const err = await tryToRemove(directory);
  if (err === null) return;
  const hidden = join(
    dirname(directory),
    `.removing-${basename(directory)}-${randomBytes(4).toString('hex')}`,
  );
  log.warn({ directory, hidden, err }, 'directory cannot be removed, retrying later');
  await rename(directory, hidden);
}
