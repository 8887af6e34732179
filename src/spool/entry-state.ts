import { createHash, type Hash } from 'node:crypto';
import type { Stats } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { isNotUtf8 } from '../disk/base/names.js';
import { isErrorCode } from '../errors/errno.js';
import { Hyper2kvmError } from '../errors/error.js';
import type { IncomingEntry } from '../model/drop.js';

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

/**
 * Looks at a name with all that is below it, following no link. Null when it is gone. Rejects with the system's error, with `spool.too-large` for more than any
 * drop has, and with the signal's reason.
 */
export async function lookAt(
  directory: string,
  name: string,
  signal: AbortSignal = NEVER,
): Promise<Look | null> {
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
    // A directory may hold thousands of files.
    const stamp = createHash('sha256').update(look.stamp);
    look.entry.children = await new Inside(look, stamp, signal).look(join(directory, name), '', 0);
    look.stamp = stamp.digest('hex');
    return look;
  } catch (error) {
    if (!isErrorCode(error, 'ENOENT')) throw error;
    if (isNotUtf8(name)) return withoutContent(name, 'unnamed');
    // Removed between the listing and the look: the next listing will say so.
    return null;
  }
}

const NEVER = new AbortController().signal;

/** Of a name that can be listed, and neither opened nor moved by it; or one that cannot be looked at. */
export function withoutContent(name: string, type: 'unnamed' | 'unreadable'): Look {
  const entry: IncomingEntry = { name, type, size: 0 };
  return { entry, stamp: '', device: 0, inode: 0, bornMs: 0, bytes: 0, allocatedBytes: 0 };
}

/** FETCH refuses a fifth of it. */
const MOST_ENTRIES = 50_000;
const DEEPEST = 64;
/** The system answers one after the other, but the way to it and back costs more. */
const AT_ONCE = 64;

/** Adds up what is below a directory. */
class Inside {
  readonly #look: Look;
  readonly #stamp: Hash;
  readonly #signal: AbortSignal;
  #entries = 0;

  constructor(look: Look, stamp: Hash, signal: AbortSignal) {
    this.#look = look;
    this.#stamp = stamp;
    this.#signal = signal;
  }

  async look(directory: string, prefix: string, depth: number): Promise<IncomingEntry[]> {
    if (depth >= DEEPEST) throw tooLarge(`directories nested more than ${DEEPEST} deep`);
    const children: IncomingEntry[] = [];
    const names = await this.#names(directory);
    for (let start = 0; start < names.length; start += AT_ONCE) {
      this.#signal.throwIfAborted();
      const some = names.slice(start, start + AT_ONCE);
      const stats = await Promise.all(some.map((name) => statusOf(join(directory, name), name)));
      for (const [index, name] of some.entries())
        await this.#add(directory, prefix, { name, stats: stats[index]! }, { depth, children });
    }
    return children;
  }

  async #add(
    directory: string,
    prefix: string,
    { name, stats }: { name: string; stats: Stats | null },
    { depth, children }: { depth: number; children: IncomingEntry[] },
  ): Promise<void> {
    if (stats === null) {
      children.push({ name, type: 'unnamed', size: 0 });
      return;
    }
    const path = `${prefix}${name}`;
    this.#stamp.update(stampOf(path, stats));
    this.#look.bytes += stats.isFile() ? stats.size : 0;
    this.#look.allocatedBytes += stats.isFile() ? stats.blocks * 512 : 0;
    const child: IncomingEntry = { name, type: typeOf(stats), size: stats.isFile() ? stats.size : 0 };
    children.push(child);
    if (stats.isDirectory()) child.children = await this.look(join(directory, name), `${path}/`, depth + 1);
  }

  async #names(directory: string): Promise<string[]> {
    const names: string[] = [];
    for await (const { name } of await opendir(directory)) {
      this.#signal.throwIfAborted();
      this.#entries += 1;
      if (this.#entries > MOST_ENTRIES) throw tooLarge(`more than ${MOST_ENTRIES} entries`);
      names.push(name);
    }
    return names.sort();
  }
}

/** Null for a name that is not UTF-8: nothing is found by it. */
function statusOf(path: string, name: string): Promise<Stats | null> {
  return lstat(path).catch((error: unknown) => {
    if (isNotUtf8(name)) return null;
    throw error;
  });
}

function tooLarge(what: string): Hyper2kvmError {
  return new Hyper2kvmError('spool.too-large', `it has ${what}`, {
    advice: 'Leave only the files of one VM in it, or move it out of incoming.',
  });
}

function stampOf(path: string, stats: Stats): string {
  return `${path}\0${stats.size}\0${stats.mtimeMs}\0${stats.ctimeMs}\0${stats.ino}\n`;
}

function typeOf(stats: Stats): IncomingEntry['type'] {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  return stats.isSymbolicLink() ? 'symlink' : 'special';
}
