import { access, chmod, mkdir, open, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** A rename that publishes or stages something; both ends on one filesystem. */
export interface Move {
  from: string;
  to: string;
}

export async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** Writes a file so that after a power loss it is there whole or not at all: temporary name, fsync, rename. The directory is not synced. */
export async function writeDurable(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${path}.tmp`;
  const file = await open(temporary, 'w', 0o644);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

/** Makes the names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Makes the names in a directory and all below it durable. */
export async function syncTree(path: string): Promise<void> {
  for (const entry of await readdir(path, { withFileTypes: true, encoding: 'buffer' })) {
    if (entry.isDirectory()) await syncTree(join(path, entry.name.toString()));
  }
  await syncDirectory(path);
}

export async function applyMoves(moves: readonly Move[]): Promise<void> {
  for (const { from, to } of moves) await rename(from, to);
  for (const directory of new Set(moves.map(({ from }) => dirname(from)))) await syncDirectory(directory);
}

/**
 * Takes back what an interrupted `applyMoves` did. What is at both ends stays as it is at `from`, but for an empty directory there: that one was
 * made by somebody who missed what had been moved away.
 */
export async function undoMoves(moves: readonly Move[]): Promise<void> {
  for (const { from, to } of [...moves].reverse()) {
    if (!(await exists(to)) || !(await makeRoom(from))) continue;
    await mkdir(dirname(from), { recursive: true });
    await rename(to, from);
  }
}

/** True when nothing is at `path` (any more). */
async function makeRoom(path: string): Promise<boolean> {
  try {
    await rmdir(path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return true;
    if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR') return false;
    throw error;
  }
}

export async function emptyDirectory(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
  await mkdir(path, { recursive: true });
}

/** Readable for whoever may enter the directory above it: scratch is private, a result is not. */
export async function openTree(path: string): Promise<void> {
  await chmod(path, 0o755);
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const inside = join(path, entry.name);
    if (entry.isDirectory()) await openTree(inside);
    else if (entry.isFile()) await chmod(inside, 0o644);
  }
}
