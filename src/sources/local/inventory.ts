import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isNotUtf8, refusedName } from '../../disk/base/names.js';
import { indexTar } from '../../disk/base/tar.js';
import type { DropFile, ImageFile } from '../../disk/chain.js';
import { checkMagic, compressionOf } from '../../disk/compression.js';
import { type Places, refusedSpecial, withBytes } from '../../disk/file-source.js';
import { isOva, type ReadOptions, readImageFile } from '../../disk/read-image.js';
import { Hyper2kvmError } from '../../errors/error.js';
import type { DropPlace } from '../../model/drop.js';
import type { FileBytes } from '../../model/storage.js';
import { printable } from '../../text/printable.js';
import type { Unpacker } from './unpack.js';

/** What lies in a drop. */
export interface Inventory {
  places: Places;
  /** Put before an image's name to make it what its owner knows: empty, `web01/`, or `web01.ova/` for the members of an archive. */
  prefix: string;
  /** All regular files, paths relative to the drop's directory, sorted. */
  files: { path: string; size: number }[];
  /** Bytes of all files that are on disk, and of their holes. */
  data: number;
  holes: number;
  /** The files of the VM with their headers, or the members of its archive. */
  images: ImageFile[];
}

export interface InventoryOptions extends ReadOptions {
  /** Refuse files with further hard links: in the spool they would give away what the service's user may read. */
  refuseHardLinks: boolean;
  workDirectory: string;
  unpacker: Unpacker;
  signal: AbortSignal;
}

const MAX_FILES = 10_000;
const MAX_DEPTH = 8;

/**
 * Looks at every file of the drop without following any link, and reads the headers of those that may be disks. Rejects with
 * `fetch.refused-special`, `fetch.too-many-files`, `fetch.empty`.
 */
export async function takeInventory(
  { directory, entries }: DropPlace,
  options: InventoryOptions,
): Promise<Inventory> {
  const found: FoundFile[] = [];
  await walk(directory, entries, '', 0, found, options.signal);
  const data = found.reduce((sum, { size, stored }) => sum + Math.min(size, stored), 0);
  const holes = found.reduce((sum, { size, stored }) => sum + Math.max(0, size - stored), 0);
  const files = found.map(({ path, size }) => ({ path, size }));
  if (files.length === 0) {
    throw new Hyper2kvmError('fetch.empty', 'the drop has no files', {
      advice: 'Copy the disk into it and drop it again.',
    });
  }
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  if (options.refuseHardLinks) await refuseHardLinks(directory, files, options.signal);
  const places = { drop: directory, work: options.workDirectory };
  const prefix = droppedDirectory(entries, files);
  const reader = new HeaderReader(places, options);
  const images: ImageFile[] = [];
  for (const { path, size } of files) {
    options.signal.throwIfAborted();
    const name = path.startsWith(prefix) ? path.slice(prefix.length) : path;
    const bytes: FileBytes = { type: 'file', place: 'drop', path };
    if (!name.includes('/') && !name.endsWith('.toml')) images.push(await reader.read({ name, size, bytes }));
  }
  refuseSameNames(images);
  const archive = onlyArchive(images);
  if (archive === null) return { places, prefix, files, data, holes, images };
  const members = await readMembers(archive, places, reader);
  refuseSameNames(members);
  return { places, prefix: `${prefix}${archive.name}/`, files, data, holes, images: members };
}

/** Before anything is read of them. */
async function refuseHardLinks(
  sourceDirectory: string,
  files: Inventory['files'],
  signal: AbortSignal,
): Promise<void> {
  for (const { path } of files) {
    signal.throwIfAborted();
    const { nlink } = await lstat(join(sourceDirectory, path));
    if (nlink > 1) throw refusedSpecial(path, `has ${nlink - 1} more hard link(s)`);
  }
}

/** Reads headers, of compressed files those of what is in them. */
class HeaderReader {
  readonly #places: Places;
  readonly #options: InventoryOptions;

  constructor(places: Places, options: InventoryOptions) {
    this.#places = places;
    this.#options = options;
  }

  async read(file: DropFile): Promise<ImageFile> {
    const packed = compressionOf(file.name);
    if (packed === null) return { ...file, ...(await this.#header(file.name, file.bytes)) };
    const { compression, inner: name } = packed;
    await withBytes(file.bytes, this.#places, (source) => checkMagic(file.name, compression, source));
    const { bytes, size } = await this.#options.unpacker.unpack(file, compression.name, this.#places);
    return { name, size, bytes, packed: file, ...(await this.#header(name, bytes)) };
  }

  #header(name: string, bytes: FileBytes) {
    return withBytes(bytes, this.#places, (source) => readImageFile(name, source, this.#options));
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
async function readMembers(archive: ImageFile, places: Places, reader: HeaderReader): Promise<ImageFile[]> {
  const members = await withBytes(archive.bytes, places, indexTar);
  const images: ImageFile[] = [];
  for (const { name, offset, size } of members)
    images.push(await reader.read({ name, size, bytes: { ...archive.bytes, region: { offset, size } } }));
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
