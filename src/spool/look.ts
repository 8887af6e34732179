import { createHash } from 'node:crypto';
import type { Stats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isNotUtf8 } from '../disk/names.js';
import type { IncomingEntry } from './group-types.js';

/** One name in incoming as it is now. */
export interface Look {
  entry: IncomingEntry;
  /** Path, size, mtime, ctime and inode of everything inside, as one text or its SHA-256: equal when nothing was touched. */
  stamp: string;
  device: number;
  inode: number;
  /** Time of birth (ms since the epoch); 0 or the time of its last change on a filesystem that records none. */
  bornMs: number;
  /** Bytes of all files, and of those bytes what is really on disk. */
  bytes: number;
  allocatedBytes: number;
}

/** Looks at a name with all that is below it, following no link. Null when it is gone. */
export async function lookAt(directory: string, name: string): Promise<Look | null> {
  try {
    const stats = await lstat(join(directory, name));
    const look: Look = {
      entry: { name, type: typeOf(stats), size: stats.isFile() ? stats.size : 0 },
      stamp: stampOf('', stats),
      device: stats.dev,
      inode: stats.ino,
      bornMs: stats.birthtimeMs,
      bytes: stats.isFile() ? stats.size : 0,
      allocatedBytes: stats.isFile() ? stats.blocks * 512 : 0,
    };
    if (!stats.isDirectory()) return look;
    look.entry.children = await lookInside(join(directory, name), '', look);
    // A directory may hold thousands of files.
    look.stamp = createHash('sha256').update(look.stamp).digest('hex');
    return look;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    if (isNotUtf8(name)) return unnamed(name);
    // Removed between the listing and the look: the next listing will say so.
    return null;
  }
}

/** It can be listed, and neither opened nor moved by that name. */
function unnamed(name: string): Look {
  const entry: IncomingEntry = { name, type: 'unnamed', size: 0 };
  return { entry, stamp: '', device: 0, inode: 0, bornMs: 0, bytes: 0, allocatedBytes: 0 };
}

async function lookInside(directory: string, prefix: string, look: Look): Promise<IncomingEntry[]> {
  const names = (await readdir(directory)).sort();
  const children: IncomingEntry[] = [];
  for (const name of names) {
    const path = `${prefix}${name}`;
    const stats = await lstat(join(directory, name)).catch((error: unknown) => {
      if (isNotUtf8(name)) return null;
      throw error;
    });
    if (stats === null) {
      children.push({ name, type: 'unnamed', size: 0 });
      continue;
    }
    look.stamp += stampOf(path, stats);
    look.bytes += stats.isFile() ? stats.size : 0;
    look.allocatedBytes += stats.isFile() ? stats.blocks * 512 : 0;
    children.push({ name, type: typeOf(stats), size: stats.isFile() ? stats.size : 0 });
    if (stats.isDirectory()) await lookInside(join(directory, name), `${path}/`, look);
  }
  return children;
}

function stampOf(path: string, stats: Stats): string {
  return `${path}\0${stats.size}\0${stats.mtimeMs}\0${stats.ctimeMs}\0${stats.ino}\n`;
}

function typeOf(stats: Stats): IncomingEntry['type'] {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  return stats.isSymbolicLink() ? 'symlink' : 'special';
}
