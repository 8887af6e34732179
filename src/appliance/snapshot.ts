import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Extract, extract } from 'tar-stream';
import { Hyper2kvmError } from '../errors/error.js';
import { writeDurable } from '../files/durable.js';
import { GuestTree, type TreeEntry } from '../guest/tree.js';
import { eachInTurns } from '../host/turns.js';
import type { ApplianceSession } from './session.js';

/** A directory whose files are captured with content, but for those that match `excludes` (tar patterns). */
export interface Capture {
  directory: string;
  excludes: readonly string[];
}

/** A larger file keeps its entry, without content: configuration is small, and a hostile guest must not fill the memory. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** udev's hwdb.bin and package caches are the only larger files of /etc that real guests have. */
const MAX_ETC_FILE_BYTES = 1024 * 1024;
/** Three kernels' module indexes, /etc and a package database stay under 20 MiB. Of all contents and paths. */
const MAX_TOTAL_BYTES = 48 * 1024 * 1024;
const MAX_ENTRIES = 200_000;
/** What `find0` may list of one directory: `MAX_ENTRIES` names of usual length. */
const MAX_NAMES_BYTES = 16 * 1024 * 1024;
/** A name that is not UTF-8 is decoded to this: a path with it leads to another file than the one that was read. */
const UNDECODABLE = '\u{fffd}';

/**
 * The guest's configuration in a few bulk calls (a call costs 0.2 s without KVM, whatever its size): one `tar_out` for each capture, one `find0`
 * for each directory of which only the names matter. Directories that do not exist are left out.
 */
export class SnapshotCollector {
  readonly #entries = new Map<string, TreeEntry>();
  readonly #session: ApplianceSession;
  readonly #scratch: string;
  #bytes = 0;

  constructor(session: ApplianceSession, workDirectory: string) {
    this.#session = session;
    this.#scratch = join(workDirectory, 'snapshot.part');
  }

  async capture({ directory, excludes }: Capture): Promise<void> {
    if (!(await this.#session.call('is_dir', directory))) return;
    try {
      await this.#session.call('tar_out_opts', directory, this.#scratch, {
        numericowner: true,
        excludes: [...excludes],
      });
      await this.#unpack(directory);
    } finally {
      await rm(this.#scratch, { force: true });
    }
  }

  async #unpack(directory: string): Promise<void> {
    const members = extract();
    // Both are waited for: the pipe fails too when the members are refused, and nobody else would take that rejection.
    const [taken, piped] = await Promise.allSettled([
      this.#takeMembers(directory, members),
      pipeline(createReadStream(this.#scratch), members),
    ]);
    if (taken.status === 'rejected') throw taken.reason;
    if (piped.status === 'rejected') throw piped.reason;
  }

  async #takeMembers(directory: string, members: Extract): Promise<void> {
    for await (const member of members) {
      const { name, mode, uid, gid, size = 0, type, linkname } = member.header;
      const path = guestPath(directory, name);
      const chunks: Buffer[] = [];
      const isKept = type === 'file' && size <= largest(path) && !path.includes(UNDECODABLE);
      if (isKept) {
        for await (const chunk of member) chunks.push(chunk as Buffer);
      } else {
        member.resume();
      }
      const kind = entryType(type ?? 'file');
      if (kind === null) continue;
      // A further hard link comes without data: it is the member it names.
      const twin = type === 'link' ? this.#entries.get(guestPath(directory, linkname ?? '')) : undefined;
      this.#put({
        path,
        type: kind,
        mode: mode ?? 0,
        uid: uid ?? 0,
        gid: gid ?? 0,
        size: twin?.size ?? size,
        ...(isKept ? { content: Buffer.concat(chunks) } : {}),
        ...(twin?.content === undefined ? {} : { content: twin.content }),
        ...(kind === 'symlink' ? { target: linkname ?? '' } : {}),
      });
    }
  }

  /** Names below a directory, at any depth. What is a directory shows by what is in it; everything else counts as a file. */
  async names(directory: string): Promise<void> {
    if (!(await this.#session.call('is_dir', directory))) return;
    const names = await this.#find(directory);
    const paths = new Set(names.map((name) => guestPath(directory, name)));
    const parents = new Set([...paths].map((path) => path.slice(0, path.lastIndexOf('/'))));
    this.#put({ path: directory, type: 'directory', mode: 0o755, uid: 0, gid: 0, size: 0 });
    for (const path of paths) this.#name(path, parents.has(path) ? 'directory' : 'file');
  }

  async #find(directory: string): Promise<string[]> {
    try {
      await this.#session.call('find0', directory, this.#scratch);
      if ((await stat(this.#scratch)).size > MAX_NAMES_BYTES) throw tooLarge();
      const names = await readFile(this.#scratch);
      if (countNuls(names) > MAX_ENTRIES) throw tooLarge();
      return names
        .toString('utf8')
        .split('\0')
        .filter((name) => name !== '');
    } finally {
      await rm(this.#scratch, { force: true });
    }
  }

  add(entry: TreeEntry): void {
    this.#put(entry);
  }

  entry(path: string): TreeEntry | undefined {
    return this.#entries.get(path);
  }

  tree(): GuestTree {
    return new GuestTree(this.#entries.values());
  }

  #name(path: string, type: 'directory' | 'file'): void {
    if (this.#entries.has(path)) return;
    this.#put({ path, type, mode: type === 'directory' ? 0o755 : 0o644, uid: 0, gid: 0, size: 0 });
  }

  #put(entry: TreeEntry): void {
    const known = this.#entries.get(entry.path);
    if (known !== undefined && known.content !== undefined && entry.content === undefined) return;
    this.#bytes += entry.path.length + (entry.content?.length ?? 0);
    this.#entries.set(entry.path, entry);
    const slash = entry.path.lastIndexOf('/');
    if (slash > 0) this.#name(entry.path.slice(0, slash), 'directory');
    if (this.#bytes > MAX_TOTAL_BYTES || this.#entries.size > MAX_ENTRIES) throw tooLarge();
  }
}

const largest = (path: string) => (path.startsWith('/etc/') ? MAX_ETC_FILE_BYTES : MAX_FILE_BYTES);

function tooLarge(): Hyper2kvmError {
  return new Hyper2kvmError(
    'inspect.configuration-too-large',
    'the guest’s configuration is larger than any real one',
    {
      advice: 'More than 48 MiB or 200,000 files under /etc and /boot: the disk may be damaged or hostile.',
    },
  );
}

function countNuls(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(0); at !== -1; at = bytes.indexOf(0, at + 1)) count += 1;
  return count;
}

function guestPath(directory: string, name: string): string {
  const relative = name.replace(/^\.?\/*/, '').replace(/\/+$/, '');
  const base = directory === '/' ? '' : directory;
  return relative === '' || relative === '.' ? directory : `${base}/${relative}`;
}

function entryType(type: string): TreeEntry['type'] | null {
  if (type === 'file' || type === 'contiguous-file' || type === 'link') return 'file';
  if (type === 'directory' || type === 'symlink') return type;
  return null;
}

interface StoredEntry extends Omit<TreeEntry, 'content'> {
  /** Base64. */
  content?: string;
}

/** Writes the tree as JSON, sorted by path, durably: the same guest gives the same bytes. Returns the SHA-256 of the file. */
export async function writeSnapshot(file: string, tree: GuestTree): Promise<string> {
  const hash = createHash('sha256');
  const pieces: Buffer[] = [];
  const put = (text: string) => {
    const bytes = Buffer.from(text);
    hash.update(bytes);
    pieces.push(bytes);
  };
  let separator = '[';
  // One after the other: 48 MiB at once would keep the daemon from answering.
  await eachInTurns(tree.entries(), ({ content, ...entry }) => {
    const stored: StoredEntry = {
      ...entry,
      ...(content === undefined ? {} : { content: content.toString('base64') }),
    };
    put(`${separator}${JSON.stringify(stored)}`);
    separator = ',';
  });
  put(separator === '[' ? '[]' : ']');
  // The guest's /etc/shadow is in it.
  await writeDurable(file, Buffer.concat(pieces), 0o600);
  return hash.digest('hex');
}

export async function readSnapshot(file: string): Promise<GuestTree> {
  const stored = JSON.parse(await readFile(file, 'utf8')) as StoredEntry[];
  return new GuestTree(
    stored.map(({ content, ...entry }) => ({
      ...entry,
      ...(content === undefined ? {} : { content: Buffer.from(content, 'base64') }),
    })),
  );
}
