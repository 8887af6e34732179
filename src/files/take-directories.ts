import type { Stats } from 'node:fs';
import { chmod, lstat, mkdir, readdir, rename, rmdir } from 'node:fs/promises';
import { isErrorCode } from '../errors/errno.js';
import { Hyper2kvmError } from '../errors/error.js';
import { syncPath } from './durable.js';

const OTHERS_WRITE = 0o022;
const SLASH = Buffer.from('/');

/**
 * Makes every directory in a claimed drop belong to this process. Whoever dropped one still owns it, and can
 * add, swap and remove files in it through a descriptor although its path is private. So its contents move to
 * a new directory beside it, which takes its place. `source` must belong to this process. If called again
 * after a crash, it continues. After an error everything is still inside `source`, in its place if possible.
 * Errors: `spool.not-permitted`, `spool.drop-changed`.
 */
export async function takeDirectories(source: string): Promise<void> {
  await takeBelow(Buffer.from(source));
}

/** Names need not be UTF-8: FETCH reports those. */
async function takeBelow(directory: Buffer): Promise<void> {
  for (const name of await readdir(directory, { encoding: 'buffer' })) {
    const path = inside(directory, name);
    const stats = await lstat(path);
    if (!stats.isDirectory()) continue;
    if (stats.uid !== process.geteuid?.()) await replace(directory, path, stats);
    else if ((stats.mode & OTHERS_WRITE) !== 0) await chmod(path, stats.mode & 0o755);
    await takeBelow(path);
  }
}

async function replace(parent: Buffer, path: Buffer, { dev, ino, mode }: Stats): Promise<void> {
  // Named after the old directory, so that a second call after a crash finds it.
  const own = inside(parent, Buffer.from(`.taken-${dev}-${ino}`));
  try {
    await mkdir(own, { mode: 0o700, recursive: true });
    for (const name of await readdir(path, { encoding: 'buffer' }))
      await rename(inside(path, name), inside(own, name));
    await chmod(own, (mode & 0o755) | 0o700);
    await syncPath(own);
    // rename(2) replaces an empty directory, but no other.
    await rename(own, path);
    await syncPath(parent);
  } catch (error) {
    await giveBack(own, path);
    throw explained(error, path.toString());
  }
}

/**
 * Moves contents back. An entry whose name has been taken by its owner meanwhile stays in `own`, which is in
 * the drop too.
 */
async function giveBack(own: Buffer, path: Buffer): Promise<void> {
  for (const name of await readdir(own, { encoding: 'buffer' })) {
    const isTaken = await lstat(inside(path, name)).then(
      () => true,
      () => false,
    );
    if (!isTaken) await rename(inside(own, name), inside(path, name));
  }
  if ((await readdir(own)).length === 0) await rmdir(own);
}

function inside(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, SLASH, name]);
}

function explained(error: unknown, path: string): unknown {
  if (isErrorCode(error, 'EACCES', 'EPERM'))
    return new Hyper2kvmError(
      'spool.not-permitted',
      `the daemon may not move the contents of ${path}, so its owner could still swap them`,
      {
        cause: error,
      },
    );
  if (!isErrorCode(error, 'ENOTEMPTY', 'EEXIST', 'ENOENT')) return error;
  return new Hyper2kvmError(
    'spool.drop-changed',
    `${path} was changed while the daemon took ownership of it`,
    {
      advice: 'Another process is writing to the dropped directory: drop it again when that has finished.',
      cause: error,
    },
  );
}
