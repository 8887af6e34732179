import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isNotUtf8, refusedName } from '../../disk/base/names.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { canonicalJson, sha256 } from '../../text/canonical-json.js';

/**
 * One file of the drop. `path` is relative to the source directory; times in milliseconds, sizes in bytes.
 * The time of the last change of the inode (`changed`) is the one that its owner cannot set back.
 */
export interface SourceFile {
  path: string;
  size: number;
  modified: number;
  changed: number;
  inode: number;
  device: number;
}

/**
 * The drop's files with all that are inside dropped directories, sorted by path. Links are listed, never
 * followed.
 */
export async function listSource(directory: string, entries: readonly string[]): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  const visit = async (path: string): Promise<void> => {
    const stat = await lstat(join(directory, path)).catch((error: unknown) => {
      throw isNotUtf8(path) ? refusedName(path) : error;
    });
    if (!stat.isDirectory()) {
      const { size, mtimeMs: modified, ctimeMs: changed, ino: inode, dev: device } = stat;
      files.push({ path, size, modified, changed, inode, device });
      return;
    }
    for (const name of await readdir(join(directory, path))) await visit(join(path, name));
  };
  for (const entry of entries) await visit(entry);
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/**
 * The id before the first stage's: what was dropped. Without the device: some filesystems have another number
 * after each mount.
 */
export function sourceId(files: readonly SourceFile[]): string {
  return sha256(canonicalJson(files.map(({ device: _device, ...file }) => file)));
}

/** Whether it is still the same files, none of which was touched. */
export function isSameSource(before: readonly SourceFile[], now: readonly SourceFile[]): boolean {
  return canonicalJson(before) === canonicalJson(now);
}

export function sourceChanged(message: string): Hyper2kvmError {
  return new Hyper2kvmError('source.changed', message);
}
