import { createHash } from 'node:crypto';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { canonicalJson } from '../canonical-json.js';
import type { JobOptions } from '../config/schema.js';
import { isNotUtf8, refusedName } from '../disk/names.js';
import { Hyper2kvmError } from '../errors.js';
import { hooksOf } from './hooks.js';
import type { Stage } from './stage.js';

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
  return new Hyper2kvmError('source.changed', message, {
    advice: 'Whoever copied it was not done: wait for the copy to end, or copy to a .part name and rename.',
  });
}

/**
 * A stage's content id: SHA-256 of its name, version, the options it depends on, whether it is skipped, its
 * hooks (they may change what it works on), and the id before it.
 */
export function stageId(stage: Stage, options: JobOptions, previous: string): string {
  return sha256(
    canonicalJson([
      stage.name,
      stage.version,
      stage.dependsOn(options) ?? null,
      isEnabled(stage, options),
      ...hooksOf(options, stage.name),
      previous,
    ]),
  );
}

export function isEnabled(stage: Stage, options: JobOptions): boolean {
  return stage.enabled?.(options) ?? true;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
