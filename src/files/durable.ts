import { lstat, open, readdir, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Syncs a file or directory, so that what was written there survives a power loss. */
export async function syncPath(path: string | Buffer): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const SLASH = Buffer.from('/');

/** Syncs a file, or a directory and everything in it at any depth. Names need not be UTF-8. */
export async function syncTree(path: string | Buffer): Promise<void> {
  const bytes = Buffer.from(path as string);
  const status = await lstat(bytes);
  // Links and sockets have no content to sync, and opening one would follow it or hang.
  if (!status.isDirectory() && !status.isFile()) return;
  if (status.isDirectory()) {
    for (const name of await readdir(bytes, { encoding: 'buffer' }))
      await syncTree(Buffer.concat([bytes, SLASH, name]));
  }
  await syncPath(bytes);
}

/**
 * Makes a result appear that was written to `temporary` on the same filesystem: fsync, rename, fsync of the
 * directory. All results appear this way.
 */
export async function publish(temporary: string, path: string): Promise<void> {
  await syncPath(temporary);
  await rename(temporary, path);
  await syncPath(dirname(path));
}

/**
 * Writes a file so that after a power loss it exists completely or not at all: temporary name, fsync, rename.
 * The directory is not synced.
 */
export async function writeDurable(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
  const temporary = `${path}.tmp`;
  const file = await open(temporary, 'w', mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}
