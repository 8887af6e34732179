import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Hyper2kvmError } from '../errors/error.js';
import { printable } from '../text/escape-terminal.js';
import { isNotUtf8, refusedName } from './base/names.js';
import { indexTar } from './base/tar.js';
import type { ImageFile } from './chain.js';
import { type Compression, checkMagic, compressionOf } from './compression.js';
import { refusedSpecial, refuseHardLinks, storedAt, withImage } from './file-source.js';
import { isOva, type ReadOptions, readImageFile } from './read-image.js';

/** What lies in a drop. */
export interface Inventory {
  /** Where the files are: the source directory, or the one directory that was dropped. Absolute. */
  directory: string;
  /** Put before an image's name to make it a path in the source directory: empty, `web01/`, or `web01.ova/` for the members of an archive. */
  prefix: string;
  /** All regular files, paths relative to the source directory, sorted. */
  files: { path: string; size: number }[];
  /** Bytes of all files that are on disk, and of their holes. */
  data: number;
  holes: number;
  /** The files directly in `directory`, with their headers. */
  images: ImageFile[];
}

export interface InventoryOptions extends ReadOptions {
  /** Refuse files with further hard links: in the spool they would give away what the service's user may read. */
  refuseHardLinks: boolean;
  /** Unpacks a compressed disk or archive, or finds the copy that an earlier call made; the path of it. `ordinal`: how many there were before it. */
  unpack(file: PackedFile, ordinal: number): Promise<string>;
  signal: AbortSignal;
}

/** A compressed file of the drop. */
export interface PackedFile {
  name: string;
  compression: Compression['name'];
  /** Absolute path of the file that holds it. */
  path: string;
  /** Bytes. */
  size: number;
  region?: { offset: number; size: number };
}

const MAX_FILES = 10_000;
const MAX_DEPTH = 8;

/**
 * Looks at every file of the drop without following any link, and reads the headers of those that may be disks. Rejects with
 * `fetch.refused-special`, `fetch.too-many-files`, `fetch.empty`.
 */
export async function takeInventory(
  sourceDirectory: string,
  entries: readonly string[],
  options: InventoryOptions,
): Promise<Inventory> {
  const found: FoundFile[] = [];
  await walk(sourceDirectory, entries, '', 0, found, options.signal);
  const data = found.reduce((sum, { size, stored }) => sum + Math.min(size, stored), 0);
  const holes = found.reduce((sum, { size, stored }) => sum + Math.max(0, size - stored), 0);
  const files = found.map(({ path, size }) => ({ path, size }));
  if (files.length === 0) {
    throw new Hyper2kvmError('fetch.empty', 'the drop has no files', {
      advice: 'Copy the disk into it and drop it again.',
    });
  }
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  const prefix = droppedDirectory(entries, files);
  const images: ImageFile[] = [];
  const directory = join(sourceDirectory, prefix);
  const unpacking = new Unpacking(directory, options);
  // Before anything is read of them.
  for (const { path } of options.refuseHardLinks ? files : []) {
    options.signal.throwIfAborted();
    refuseHardLinks(path, await lstat(join(sourceDirectory, path)));
  }
  for (const { path, size } of files) {
    options.signal.throwIfAborted();
    const name = path.startsWith(prefix) ? path.slice(prefix.length) : path;
    if (!name.includes('/') && !name.endsWith('.toml')) images.push(await unpacking.read({ name, size }));
  }
  refuseSameNames(images);
  const archive = onlyArchive(images);
  if (archive === null) return { directory, prefix, files, data, holes, images };
  const members = await readMembers(directory, archive, unpacking);
  refuseSameNames(members);
  return { directory, prefix: `${prefix}${archive.name}/`, files, data, holes, images: members };
}

/** Reads headers, of compressed files those of what is in them. */
class Unpacking {
  readonly #directory: string;
  readonly #options: InventoryOptions;
  #count = 0;

  constructor(directory: string, options: InventoryOptions) {
    this.#directory = directory;
    this.#options = options;
  }

  async read(file: Pick<ImageFile, 'name' | 'size' | 'region' | 'unpacked'>): Promise<ImageFile> {
    const packed = compressionOf(file.name);
    if (packed === null) return { ...(await this.#header(file)), ...file };
    const { compression, inner: name } = packed;
    await withImage(this.#directory, file, (source) => checkMagic(file.name, compression, source));
    const unpacked = await this.#options.unpack(
      {
        name: file.name,
        compression: compression.name,
        path: storedAt(this.#directory, file),
        size: file.size,
        ...(file.region === undefined ? {} : { region: file.region }),
      },
      this.#count++,
    );
    return { ...(await this.#header({ name, unpacked })), unpacked, packed: file };
  }

  #header(file: Pick<ImageFile, 'name' | 'region' | 'unpacked'>): Promise<ImageFile> {
    return withImage(this.#directory, file, (source) => readImageFile(file.name, source, this.#options));
  }
}

function refuseSameNames(images: readonly ImageFile[]): void {
  const names = new Set<string>();
  for (const { name } of images) {
    if (names.has(name))
      throw new Hyper2kvmError('fetch.corrupt', `${printable(name)} is there twice, compressed and not`, {
        advice: 'Drop only one of them.',
      });
    names.add(name);
  }
}

/** The OVA where the drop is one. */
function onlyArchive(images: readonly ImageFile[]): ImageFile | null {
  const [first, second] = images.filter(({ name }) => isOva(name));
  if (first === undefined) return null;
  if (second === undefined && images.every((file) => file === first || file.image === null)) return first;
  throw new Hyper2kvmError('fetch.several-vms', `the drop has ${printable(first.name)} and other disks`, {
    advice: 'Drop each OVA on its own.',
  });
}

/** Reads an OVA in place: its members are parts of the one file, nothing but compressed members is unpacked. */
async function readMembers(
  directory: string,
  archive: ImageFile,
  unpacking: Unpacking,
): Promise<ImageFile[]> {
  const members = await withImage(directory, archive, indexTar);
  const images: ImageFile[] = [];
  for (const { name, offset, size } of members) {
    const region = { file: archive.name, offset, size };
    const { unpacked } = archive;
    images.push(
      await unpacking.read({ name, size, region, ...(unpacked === undefined ? {} : { unpacked }) }),
    );
  }
  return images;
}

/** `web01/` where the drop is that one directory (and perhaps its job.toml), else empty. */
function droppedDirectory(entries: readonly string[], files: Inventory['files']): string {
  const [first, ...others] = entries.filter((name) => !name.endsWith('.job.toml'));
  if (first === undefined || others.length > 0 || files.some(({ path }) => path === first)) return '';
  return `${first}/`;
}

interface FoundFile {
  path: string;
  size: number;
  /** Bytes on disk. */
  stored: number;
}

async function walk(
  root: string,
  names: readonly string[],
  parent: string,
  depth: number,
  files: FoundFile[],
  signal: AbortSignal,
): Promise<void> {
  for (const name of names) {
    signal.throwIfAborted();
    const path = `${parent}${name}`;
    const status = await lstat(join(root, path)).catch((error: unknown) => {
      throw isNotUtf8(name) ? refusedName(path) : error;
    });
    if (status.isDirectory()) {
      if (depth >= MAX_DEPTH) throw tooMany(`directories nested more than ${MAX_DEPTH} deep`);
      await walk(root, await readdir(join(root, path)), `${path}/`, depth + 1, files, signal);
    } else if (status.isFile()) {
      if (files.length >= MAX_FILES) throw tooMany(`more than ${MAX_FILES} files`);
      files.push({ path, size: status.size, stored: status.blocks * 512 });
    } else {
      throw refusedSpecial(
        printable(path),
        status.isSymbolicLink() ? 'is a symbolic link' : 'is a FIFO, a socket or a device',
      );
    }
  }
}

function tooMany(what: string): Hyper2kvmError {
  return new Hyper2kvmError('fetch.too-many-files', `the drop has ${what}`, {
    advice: 'Drop only the files of one VM.',
  });
}
