import { createHash, type Hash } from 'node:crypto';
import type { Stats } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { isNotUtf8 } from '../disk/base/names.js';
import { isErrorCode } from '../errors/errno.js';
import { Hyper2kvmError } from '../errors/error.js';
import type { IncomingEntry } from '../model/drop.js';

/** The current state of one name in incoming. */
export interface EntryState {
  entry: IncomingEntry;
  /**
   * Path, size, mtime, ctime and inode of everything inside, as text or as its SHA-256: equal if nothing was
   * touched.
   */
  fingerprint: string;
  device: number;
  inode: number;
  /**
   * Birth time (ms since the epoch); 0 or the time of the last change on a filesystem that does not record
   * it.
   */
  bornMs: number;
  /** Bytes of all files, and how many of those are allocated on disk. */
  bytes: number;
  allocatedBytes: number;
}

/**
 * Reads the state of a name and of everything below it, following no link. Null if it no longer exists.
 * Rejects with the system's error, with `spool.too-large` for more than any drop has, and with the signal's
 * reason.
 */
export async function readEntryState(
  directory: string,
  name: string,
  signal: AbortSignal = NEVER,
): Promise<EntryState | null> {
  try {
    const stats = await lstat(join(directory, name));
    const state: EntryState = {
      entry: { name, type: typeOf(stats), size: stats.isFile() ? stats.size : 0 },
      fingerprint: identityOf('', stats),
      device: stats.dev,
      inode: stats.ino,
      bornMs: stats.birthtimeMs,
      bytes: stats.isFile() ? stats.size : 0,
      allocatedBytes: stats.isFile() ? stats.blocks * 512 : 0,
    };
    if (!stats.isDirectory()) return state;
    // A directory may hold thousands of files.
    const fingerprint = createHash('sha256').update(state.fingerprint);
    state.entry.children = await new DirectoryWalk(state, fingerprint, signal).read(
      join(directory, name),
      '',
      0,
    );
    state.fingerprint = fingerprint.digest('hex');
    return state;
  } catch (error) {
    if (!isErrorCode(error, 'ENOENT')) throw error;
    if (isNotUtf8(name)) return withoutContent(name, 'unnamed');
    // Removed since it was listed; the next listing will show that.
    return null;
  }
}

const NEVER = new AbortController().signal;

/**
 * Returns the state of a name that can be listed but neither opened nor moved, or of one that cannot be read.
 */
export function withoutContent(name: string, type: 'unnamed' | 'unreadable'): EntryState {
  const entry: IncomingEntry = { name, type, size: 0 };
  return { entry, fingerprint: '', device: 0, inode: 0, bornMs: 0, bytes: 0, allocatedBytes: 0 };
}

/** FETCH refuses a drop with a fifth of this. */
const MAX_ENTRIES = 50_000;
const MAX_DEPTH = 64;
/** The system handles the calls one by one, but most of the time is spent on the way there and back. */
const AT_ONCE = 64;

/** Sums up everything below a directory. */
class DirectoryWalk {
  readonly #state: EntryState;
  readonly #fingerprint: Hash;
  readonly #signal: AbortSignal;
  #entries = 0;

  constructor(state: EntryState, fingerprint: Hash, signal: AbortSignal) {
    this.#state = state;
    this.#fingerprint = fingerprint;
    this.#signal = signal;
  }

  async read(directory: string, prefix: string, depth: number): Promise<IncomingEntry[]> {
    if (depth >= MAX_DEPTH) throw tooLarge(`directories nested more than ${MAX_DEPTH} deep`);
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
    this.#fingerprint.update(identityOf(path, stats));
    this.#state.bytes += stats.isFile() ? stats.size : 0;
    this.#state.allocatedBytes += stats.isFile() ? stats.blocks * 512 : 0;
    const child: IncomingEntry = { name, type: typeOf(stats), size: stats.isFile() ? stats.size : 0 };
    children.push(child);
    if (stats.isDirectory()) child.children = await this.read(join(directory, name), `${path}/`, depth + 1);
  }

  async #names(directory: string): Promise<string[]> {
    const names: string[] = [];
    for await (const { name } of await opendir(directory)) {
      this.#signal.throwIfAborted();
      this.#entries += 1;
      if (this.#entries > MAX_ENTRIES) throw tooLarge(`more than ${MAX_ENTRIES} entries`);
      names.push(name);
    }
    return names.sort();
  }
}

/** Returns null for a name that is not UTF-8, which cannot be looked up. */
function statusOf(path: string, name: string): Promise<Stats | null> {
  return lstat(path).catch((error: unknown) => {
    if (isNotUtf8(name)) return null;
    throw error;
  });
}

function tooLarge(what: string): Hyper2kvmError {
  return new Hyper2kvmError('spool.too-large', `it has ${what}`);
}

function identityOf(path: string, stats: Stats): string {
  return `${path}\0${stats.size}\0${stats.mtimeMs}\0${stats.ctimeMs}\0${stats.ino}\n`;
}

function typeOf(stats: Stats): IncomingEntry['type'] {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  return stats.isSymbolicLink() ? 'symlink' : 'special';
}
