import { Hyper2kvmError } from '../errors/error.js';
import { GuestTree, type TreeEntry } from '../guest/tree.js';
import type { Capture, GuestReader } from './guest-reader.js';
import { guestPath } from './tar-entries.js';

/**
 * A larger file is recorded without its content: configuration is small, and a hostile guest must not fill
 * the memory.
 */
const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** In real guests, udev's hwdb.bin and package caches are the only files in /etc that are larger. */
const MAX_ETC_FILE_BYTES = 1024 * 1024;
/**
 * Limit on all contents and paths. The module indexes of three kernels, /etc and a package database take less
 * than 20 MiB.
 */
const MAX_TOTAL_BYTES = 48 * 1024 * 1024;
const MAX_ENTRIES = 200_000;
/** For one directory: as many names of usual length. */
const MAX_NAMES = { paths: MAX_ENTRIES, bytes: 16 * 1024 * 1024 };

/** Collects the guest's configuration in a few bulk calls. Directories that do not exist are skipped. */
export class SnapshotCollector {
  readonly #entries = new Map<string, TreeEntry>();
  readonly #reader: GuestReader;
  #bytes = 0;
  /** What `tree` returned, until another entry is added. */
  #tree: GuestTree | null = null;

  constructor(reader: GuestReader) {
    this.#reader = reader;
  }

  /** Adds a directory's files with content, except for those that match `excludes` (see `Capture`). */
  async capture(what: Pick<Capture, 'directory' | 'excludes'>): Promise<void> {
    const isKept = (path: string, size: number) => size <= largest(path);
    for await (const entry of this.#reader.capture({ ...what, isKept })) this.add(entry);
  }

  /**
   * Adds the names below a directory, at any depth. A name with others below it is a directory; everything
   * else counts as a file.
   */
  async names(directory: string): Promise<void> {
    const names = await this.#reader.names(directory, MAX_NAMES);
    if (names === null) return;
    const paths = new Set(names.map((name) => guestPath(directory, name)));
    const parents = new Set([...paths].map((path) => path.slice(0, path.lastIndexOf('/'))));
    this.add({ path: directory, type: 'directory', mode: 0o755, uid: 0, gid: 0, size: 0 });
    for (const path of paths) this.#name(path, parents.has(path) ? 'directory' : 'file');
  }

  add(entry: TreeEntry): void {
    const known = this.#entries.get(entry.path);
    if (known !== undefined && known.content !== undefined && entry.content === undefined) return;
    this.#bytes += entry.path.length + (entry.content?.length ?? 0);
    this.#entries.set(entry.path, entry);
    this.#tree = null;
    const slash = entry.path.lastIndexOf('/');
    if (slash > 0) this.#name(entry.path.slice(0, slash), 'directory');
    if (this.#bytes > MAX_TOTAL_BYTES || this.#entries.size > MAX_ENTRIES) throw configurationTooLarge();
  }

  entry(path: string): TreeEntry | undefined {
    return this.#entries.get(path);
  }

  /** Returns what has been collected so far; the tree does not change afterwards. */
  tree(): GuestTree {
    this.#tree ??= new GuestTree(this.#entries.values());
    return this.#tree;
  }

  #name(path: string, type: 'directory' | 'file'): void {
    if (this.#entries.has(path)) return;
    this.add({ path, type, mode: type === 'directory' ? 0o755 : 0o644, uid: 0, gid: 0, size: 0 });
  }
}

const largest = (path: string) => (path.startsWith('/etc/') ? MAX_ETC_FILE_BYTES : MAX_FILE_BYTES);

export function configurationTooLarge(): Hyper2kvmError {
  return new Hyper2kvmError(
    'inspect.configuration-too-large',
    'the guest’s configuration is larger than any real one',
  );
}
