import { readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrorCode } from '../../../errors/errno.js';
import { Hyper2kvmError } from '../../../errors/error.js';
import { isWanted } from './layout.js';

/** A file of a virtio-win package. */
export interface TreeFile {
  /** In the package, with slashes. */
  path: string;
  /** On this host, without any links. */
  source: string;
  size: number;
}

/** Real packages have some thousands. */
const MAX_ENTRIES = 30_000;
/** Links to links multiply without end. */
const MAX_LINKED_DIRECTORIES = 1000;
const MAX_DEPTH = 12;
/** Real drivers have some hundred KiB, and the installer of the guest agent some MiB. */
export const MAX_FILE_BYTES = 128 * 1024 ** 2;
export const MAX_TOTAL_BYTES = 4 * 1024 ** 3;

/**
 * Returns the files of a virtio-win tree that guests may get, sorted by path. Links are followed inside the
 * tree (an RPM's has some) and ignored if they lead out of it, as are files that are no regular ones. Throws
 * `windows.virtio-win-unreadable` and `windows.virtio-win-invalid`.
 */
export async function listTree(root: string, signal: AbortSignal): Promise<TreeFile[]> {
  const top = await guarded(root, () => realpath(root));
  const files: TreeFile[] = [];
  let entries = 0;
  let linkedDirectories = 0;
  let bytes = 0;
  /** `above` are the directories that lead here: one that is met again is a loop of links. */
  const visit = async (directory: string, path: string, above: readonly string[]): Promise<void> => {
    if (above.includes(directory) || above.length > MAX_DEPTH) return;
    const found = await guarded(directory, () => readdir(directory, { withFileTypes: true }));
    entries += found.length;
    if (entries > MAX_ENTRIES) throw invalid(root, `it has more than ${MAX_ENTRIES} files`);
    for (const entry of found.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      signal.throwIfAborted();
      const own = path === '' ? entry.name : `${path}/${entry.name}`;
      const place = join(directory, entry.name);
      if (entry.isDirectory()) await visit(place, own, [...above, directory]);
      if (entry.isDirectory() || (entry.isFile() && !isWanted(own))) continue;
      const source = entry.isSymbolicLink() ? await resolveInside(place, top) : place;
      if (source === null) continue;
      const stats = await guarded(source, () => stat(source));
      if (stats.isDirectory()) {
        linkedDirectories += 1;
        if (linkedDirectories > MAX_LINKED_DIRECTORIES)
          throw invalid(root, `it has more than ${MAX_LINKED_DIRECTORIES} links to directories`);
        await visit(source, own, [...above, directory]);
      }
      if (!stats.isFile() || !isWanted(own)) continue;
      bytes += stats.size;
      if (stats.size > MAX_FILE_BYTES) throw invalid(root, `${own} is too large`);
      if (bytes > MAX_TOTAL_BYTES) throw invalid(root, 'its drivers are too large');
      files.push({ path: own, source, size: stats.size });
    }
  };
  await visit(top, '', []);
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Returns null for a link that dangles, goes round in circles, or leads out of `top`. */
async function resolveInside(path: string, top: string): Promise<string | null> {
  try {
    const source = await realpath(path);
    return source.startsWith(`${top}/`) || top === '/' ? source : null;
  } catch (error) {
    if (isErrorCode(error, 'ENOENT', 'ELOOP', 'ENOTDIR')) return null;
    throw unreadable(path, error);
  }
}

async function guarded<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw unreadable(path, error);
  }
}

export function unreadable(path: string, cause: unknown): Hyper2kvmError {
  return new Hyper2kvmError('windows.virtio-win-unreadable', `windows.virtio_win: cannot read ${path}`, {
    cause,
  });
}

export function invalid(path: string, why: string, cause?: unknown): Hyper2kvmError {
  return new Hyper2kvmError('windows.virtio-win-invalid', `windows.virtio_win: ${path}: ${why}`, { cause });
}
