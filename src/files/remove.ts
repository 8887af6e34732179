import { randomBytes } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Logger } from 'pino';

/** Names of what is no result and no work any more, and could not be removed yet: the sweeper tries again. */
export const REMOVED = /^\.removing-/;

/**
 * Null when it is gone, else what keeps it: an immutable file, another user's directory. What passes by
 * itself gets a second try.
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
 * Removes a directory that nobody needs. An entry that may not be unlinked must not hold up who needs the
 * name: what is left goes out of the way under a hidden name, with a warning. Rejects only when not even that
 * is possible.
 */
export async function removeOrHide(directory: string, log: Logger): Promise<void> {
  const err = await tryToRemove(directory);
  if (err === null) return;
  const hidden = join(
    dirname(directory),
    `.removing-${basename(directory)}-${randomBytes(4).toString('hex')}`,
  );
  log.warn({ directory, hidden, err }, 'directory cannot be removed: tried again later');
  await rename(directory, hidden);
}
