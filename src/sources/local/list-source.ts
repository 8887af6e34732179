import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isNotUtf8, refusedName } from '../../disk/base/names.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { canonicalJson, sha256 } from '../../text/canonical-json.js';

/**
 * A file of the drop. `path` is relative to the source directory; times in milliseconds, sizes in bytes.
 * `changed` is the inode's change time, which its owner cannot set back.
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
 * Lists the drop's files, including those in dropped directories, sorted by path. Links are listed, never
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
 * Returns the id of what was dropped, from which the first stage's id is made. It omits the device number,
 * which on some filesystems differs after each mount.
 */
export function sourceId(files: readonly SourceFile[]): string {
  return sha256(canonicalJson(files.map(({ device: _device, ...file }) => file)));
}

/** True if the files are the same and none of them was touched. */
export function isSameSource(before: readonly SourceFile[], now: readonly SourceFile[]): boolean {
  return canonicalJson(before) === canonicalJson(now);
}

export function sourceChanged(message: string): Hyper2kvmError {
  return new Hyper2kvmError('source.changed', message);
}
