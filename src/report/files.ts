import { chmod, mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isErrorCode } from '../errors/errno.js';
import { syncPath } from '../files/durable.js';
import { exists } from '../files/exists.js';

/** A rename that publishes or stages something, within one filesystem. */
export interface Move {
  from: string;
  to: string;
}

export async function applyMoves(moves: readonly Move[]): Promise<void> {
  for (const { from, to } of moves) await rename(from, to);
  for (const directory of new Set(moves.map(({ from }) => dirname(from)))) await syncPath(directory);
}

/**
 * Reverts what an interrupted `applyMoves` did. If both ends exist, `from` is kept, unless it is an empty
 * directory, which was created after the original had been moved away.
 */
export async function undoMoves(moves: readonly Move[]): Promise<void> {
  for (const { from, to } of [...moves].reverse()) {
    if (!(await exists(to)) || !(await makeRoom(from))) continue;
    await mkdir(dirname(from), { recursive: true });
    await rename(to, from);
  }
}

/** Returns true if there is nothing at `path` (any more). */
async function makeRoom(path: string): Promise<boolean> {
  try {
    await rmdir(path);
    return true;
  } catch (error) {
    if (isErrorCode(error, 'ENOENT')) return true;
    if (isErrorCode(error, 'ENOTEMPTY', 'EEXIST', 'ENOTDIR')) return false;
    throw error;
  }
}

export async function emptyDirectory(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
  await mkdir(path, { recursive: true });
}

/**
 * Makes files readable to everyone who may enter the directory above: scratch is private, a result is not.
 */
export async function openTree(path: string): Promise<void> {
  await chmod(path, 0o755);
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const inside = join(path, entry.name);
    if (entry.isDirectory()) await openTree(inside);
    else if (entry.isFile()) await chmod(inside, 0o644);
  }
}
