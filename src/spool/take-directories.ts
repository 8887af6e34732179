import type { Stats } from 'node:fs';
import { chmod, lstat, mkdir, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { Hyper2kvmError } from '../errors.js';
import { syncPath } from '../host/durable.js';

const OTHERS_WRITE = 0o022;
const SLASH = Buffer.from('/');

/**
 * Makes every directory in a claimed drop this process' own. Whoever dropped one still owns it, and may add,
 * exchange and remove what is in it through a descriptor although its path is private: so its content moves
 * into a new directory, which takes its place. `source` must belong to this process, and `scratch` be another
 * directory on its filesystem. Called again after a crash it goes on. Errors: `spool.not-permitted`,
 * `spool.drop-changed`.
 */
export async function takeDirectories(source: string, scratch: string): Promise<void> {
  await takeBelow(Buffer.from(source), scratch);
}

/** Names need not be UTF-8: FETCH says so in words. */
async function takeBelow(directory: Buffer, scratch: string): Promise<void> {
  for (const name of await readdir(directory, { encoding: 'buffer' })) {
    const path = inside(directory, name);
    const stats = await lstat(path);
    if (!stats.isDirectory()) continue;
    if (stats.uid !== process.geteuid?.()) await replace(directory, path, stats, scratch);
    else if ((stats.mode & OTHERS_WRITE) !== 0) await chmod(path, stats.mode & 0o755);
    await takeBelow(path, scratch);
  }
}

async function replace(
  parent: Buffer,
  path: Buffer,
  { dev, ino, mode }: Stats,
  scratch: string,
): Promise<void> {
  // Named after the old directory, so that a second call after a crash finds it.
  const own = join(scratch, `taken-${dev}-${ino}`);
  try {
    await mkdir(own, { mode: 0o700, recursive: true });
    for (const name of await readdir(path, { encoding: 'buffer' }))
      await rename(inside(path, name), inside(Buffer.from(own), name));
    await chmod(own, (mode & 0o755) | 0o700);
    await syncPath(own);
    // rename(2) replaces an empty directory, and no other one.
    await rename(own, path);
    await syncPath(parent);
  } catch (error) {
    throw explained(error, path.toString());
  }
}

function inside(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, SLASH, name]);
}

function explained(error: unknown, path: string): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'EACCES' || code === 'EPERM')
    return new Hyper2kvmError(
      'spool.not-permitted',
      `the daemon may not move what is in ${path}, so that its owner could exchange it`,
      {
        advice:
          'chmod -R g+w the directory before it is dropped, or give incoming the default ACL of systemd/hyper2kvm.tmpfiles.conf.',
        cause: error,
      },
    );
  if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOENT') return error;
  return new Hyper2kvmError('spool.drop-changed', `${path} was changed while it was taken over`, {
    advice: 'Somebody writes to the dropped directory: drop it again when that has ended.',
    cause: error,
  });
}
