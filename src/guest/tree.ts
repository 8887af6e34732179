/** One entry of the guest's configuration snapshot. */
export interface TreeEntry {
  /** Absolute path in the guest, normalised. */
  path: string;
  type: 'file' | 'directory' | 'symlink';
  mode: number;
  uid: number;
  gid: number;
  size: number;
  /** Present for files whose content was captured. */
  content?: Buffer;
  /** Link target as written. */
  target?: string;
}

export interface DecodedText {
  text: string;
  encoding: 'utf8' | 'latin1';
}

/** UTF-8 where the bytes are that, else Latin-1: no byte is lost. */
export function decodeText(content: Buffer): DecodedText {
  const text = content.toString('utf8');
  return Buffer.from(text, 'utf8').equals(content)
    ? { text, encoding: 'utf8' }
    : { text: content.toString('latin1'), encoding: 'latin1' };
}

/**
 * The guest's configuration in memory: what INSPECT's bulk calls brought, plus what was planned so far. All
 * of /etc, boot configuration, the ESP's small files, module indexes and package databases have content; of
 * /usr/bin, /usr/sbin, /lib/systemd/system and the like only names are known.
 */
export class GuestTree {
  protected readonly byPath: Map<string, TreeEntry>;
  /**
   * Names by directory, made when first asked for: a search through all entries for each question would let a
   * hostile guest stop the daemon.
   */
  protected names: Map<string, string[]> | null = null;

  constructor(entries: Iterable<TreeEntry>) {
    this.byPath = new Map();
    for (const entry of entries) this.byPath.set(entry.path, entry);
  }

  /**
   * Follows symbolic links in every component, inside the guest's root. Null when it does not exist or loops.
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

  /** The entry after following links, or null. */
  get(path: string): TreeEntry | null {
    const real = this.resolve(path);
    return real === null ? null : (this.byPath.get(real) ?? null);
  }

  /** The entry itself; a link is not followed in the last component. */
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

  /** Text of a file and how it is encoded; null when it is not there or its content was not captured. */
  text(path: string): DecodedText | null {
    const content = this.get(path)?.content;
    return content === undefined ? null : decodeText(content);
  }

  /** Names in a directory, sorted; empty when it is not there. */
  list(directory: string): string[] {
    const real = this.resolve(directory);
    if (real === null) return [];
    this.names ??= namesByDirectory(this.byPath.keys());
    return [...(this.names.get(real) ?? [])];
  }

  /** All entries, sorted by path. */
  entries(): TreeEntry[] {
    return [...this.byPath.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  /** A copy to be changed; this one stays as it is. */
  draft(): GuestTreeDraft {
    return new GuestTreeDraft(this.byPath.values());
  }
}

/**
 * A tree while it is being changed, in place: a copy for each of a plan's operations would cost their number
 * times the guest's files.
 */
export class GuestTreeDraft extends GuestTree {
  put(entry: TreeEntry): void {
    const isNew = !this.byPath.has(entry.path);
    this.byPath.set(entry.path, entry);
    if (!isNew || this.names === null) return;
    const [directory, name] = splitPath(entry.path);
    this.names.set(directory, [...(this.names.get(directory) ?? []), name].sort());
  }

  remove(path: string): void {
    if (!this.byPath.delete(path) || this.names === null) return;
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
