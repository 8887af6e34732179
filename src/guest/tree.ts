/** An entry of the guest's configuration snapshot. */
export interface TreeEntry {
  /** Absolute path in the guest, normalised. */
  path: string;
  type: 'file' | 'directory' | 'symlink';
  mode: number;
  uid: number;
  gid: number;
  size: number;
  /** Present if the file's content was captured. */
  content?: Buffer;
  /** In hexadecimal; present where the content is known only by it. */
  sha256?: string;
  /** Link target as written. */
  target?: string;
}

export interface DecodedText {
  text: string;
  encoding: 'utf8' | 'latin1';
}

/** Decodes UTF-8 if the bytes are valid, otherwise Latin-1: no byte is lost. */
export function decodeText(content: Buffer): DecodedText {
  const text = content.toString('utf8');
  return Buffer.from(text, 'utf8').equals(content)
    ? { text, encoding: 'utf8' }
    : { text: content.toString('latin1'), encoding: 'latin1' };
}

/**
 * The guest's configuration in memory: what INSPECT captured in bulk. Content is there for all of /etc, the
 * boot configuration, small files on the ESP, module indexes and package databases; for /usr/bin, /usr/sbin,
 * /lib/systemd/system and the like only names are known.
 */
export class GuestTree {
  protected readonly byPath: Map<string, TreeEntry>;
  /**
   * Names by directory, built on first use: with a search through all entries for each question, a hostile
   * guest could stall the daemon.
   */
  protected names: Map<string, string[]> | null = null;
  /** What `entries` returned; null after a change. */
  protected sorted: readonly TreeEntry[] | null = null;

  constructor(entries: Iterable<TreeEntry>) {
    this.byPath = new Map();
    for (const entry of entries) this.byPath.set(entry.path, entry);
  }

  /**
   * Follows symbolic links in every component, inside the guest's root. Null if the path does not exist or
   * loops.
   */
  resolve(path: string): string | null {
    let parts = path.split('/').filter((part) => part !== '' && part !== '.');
    let done: string[] = [];
    for (let hops = 0; parts.length > 0; ) {
      const [part, ...rest] = parts as [string, ...string[]];
      parts = rest;
      if (part === '..') {
        done = done.slice(0, -1);
        continue;
      }
      const here = `/${[...done, part].join('/')}`;
      const entry = this.byPath.get(here);
      if (entry?.type === 'symlink' && entry.target !== undefined) {
        if (++hops > 40) return null;
        if (entry.target.startsWith('/')) done = [];
        parts = [...entry.target.split('/').filter((p) => p !== '' && p !== '.'), ...parts];
        continue;
      }
      done.push(part);
    }
    const real = `/${done.join('/')}`;
    return real === '/' || this.byPath.has(real) ? real : null;
  }

  /** Returns the entry after following links, or null. */
  get(path: string): TreeEntry | null {
    const real = this.resolve(path);
    return real === null ? null : (this.byPath.get(real) ?? null);
  }

  /** Returns the entry itself, without following a link in the last component. */
  lstat(path: string): TreeEntry | null {
    const slash = path.lastIndexOf('/');
    const directory = slash <= 0 ? '/' : this.resolve(path.slice(0, slash));
    if (directory === null) return null;
    return this.byPath.get(`${directory === '/' ? '' : directory}/${path.slice(slash + 1)}`) ?? null;
  }

  exists(path: string): boolean {
    return this.get(path) !== null;
  }

  isDirectory(path: string): boolean {
    return path === '/' || this.get(path)?.type === 'directory';
  }

  /** Returns a file's text and its encoding; null if it does not exist or its content was not captured. */
  text(path: string): DecodedText | null {
    const content = this.get(path)?.content;
    return content === undefined ? null : decodeText(content);
  }

  /** Returns the names in a directory, sorted; empty if it does not exist. */
  list(directory: string): string[] {
    const real = this.resolve(directory);
    if (real === null) return [];
    this.names ??= namesByDirectory(this.byPath.keys());
    return [...(this.names.get(real) ?? [])];
  }

  /** Returns all entries, sorted by path. */
  entries(): readonly TreeEntry[] {
    this.sorted ??= [...this.byPath.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
    return this.sorted;
  }

  /** Returns a copy that can be changed without affecting this one. */
  draft(): GuestTreeDraft {
    return new GuestTreeDraft(this.byPath.values());
  }
}

/**
 * A tree that is changed in place: copying it for each operation of a plan would multiply the guest's files
 * by their number.
 */
export class GuestTreeDraft extends GuestTree {
  put(entry: TreeEntry): void {
    const isNew = !this.byPath.has(entry.path);
    this.sorted = null;
    this.byPath.set(entry.path, entry);
    if (!isNew || this.names === null) return;
    const [directory, name] = splitPath(entry.path);
    this.names.set(directory, [...(this.names.get(directory) ?? []), name].sort());
  }

  remove(path: string): void {
    if (!this.byPath.delete(path)) return;
    this.sorted = null;
    if (this.names === null) return;
    const [directory, name] = splitPath(path);
    this.names.set(
      directory,
      (this.names.get(directory) ?? []).filter((other) => other !== name),
    );
  }
}

function splitPath(path: string): [directory: string, name: string] {
  const slash = path.lastIndexOf('/');
  return [slash <= 0 ? '/' : path.slice(0, slash), path.slice(slash + 1)];
}

function namesByDirectory(paths: Iterable<string>): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const path of paths) {
    if (path === '/') continue;
    const [directory, name] = splitPath(path);
    const known = names.get(directory);
    if (known === undefined) names.set(directory, [name]);
    else known.push(name);
  }
  for (const list of names.values()) list.sort();
  return names;
}
