import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Hyper2kvmError } from '../errors.js';
import { sliceSource } from './bytes.js';
import type { ImageFile } from './chain.js';
import { refusedSpecial, withFile } from './file-source.js';
import { printable } from './names.js';
import { indexTar } from './ovf/tar.js';
import { isOva, type ReadOptions, readImageFile } from './probe.js';

/** What lies in a drop. */
export interface Inventory {
  /** Where the files are: the source directory, or the one directory that was dropped. Absolute. */
  directory: string;
  /** Put before an image's name to make it a path in the source directory: empty, `web01/`, or `web01.ova/` for the members of an archive. */
  prefix: string;
  /** All regular files, paths relative to the source directory, sorted. */
  files: { path: string; size: number }[];
  /** The files directly in `directory`, with their headers. */
  images: ImageFile[];
}

export interface InventoryOptions extends ReadOptions {
  /** Refuse files with further hard links: in the spool they would give away what the service's user may read. */
  refuseHardLinks: boolean;
  signal: AbortSignal;
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
  const files: Inventory['files'] = [];
  await walk(sourceDirectory, entries, '', 0, files, options.signal);
  if (files.length === 0) {
    throw new Hyper2kvmError('fetch.empty', 'the drop has no files', {
      advice: 'Copy the disk into it and drop it again.',
    });
  }
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  const prefix = droppedDirectory(entries, files);
  const images: ImageFile[] = [];
  for (const { path } of files) {
    options.signal.throwIfAborted();
    const name = path.startsWith(prefix) ? path.slice(prefix.length) : path;
    images.push(
      ...(await withFile(join(sourceDirectory, path), async ({ source, links }) => {
        if (links > 1 && options.refuseHardLinks)
          throw refusedSpecial(path, `has ${links - 1} more hard link(s)`);
        return name.includes('/') || name.endsWith('.toml')
          ? []
          : [await readImageFile(name, source, options)];
      })),
    );
  }
  const directory = join(sourceDirectory, prefix);
  const archive = onlyArchive(images);
  if (archive === null) return { directory, prefix, files, images };
  const members = await readMembers(directory, archive.name, options);
  return { directory, prefix: `${prefix}${archive.name}/`, files, images: members };
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

/** Reads an OVA in place: its members are parts of the one file, nothing is unpacked. */
async function readMembers(directory: string, file: string, options: InventoryOptions): Promise<ImageFile[]> {
  return withFile(join(directory, file), async ({ source }) => {
    const images: ImageFile[] = [];
    for (const { name, offset, size } of await indexTar(source)) {
      options.signal.throwIfAborted();
      const image = await readImageFile(name, sliceSource(source, offset, size), options);
      images.push({ ...image, region: { file, offset, size } });
    }
    return images;
  });
}

/** `web01/` where the drop is that one directory (and perhaps its job.toml), else empty. */
function droppedDirectory(entries: readonly string[], files: Inventory['files']): string {
  const [first, ...others] = entries.filter((name) => !name.endsWith('.job.toml'));
  if (first === undefined || others.length > 0 || files.some(({ path }) => path === first)) return '';
  return `${first}/`;
}

async function walk(
  root: string,
  names: readonly string[],
  parent: string,
  depth: number,
  files: Inventory['files'],
  signal: AbortSignal,
): Promise<void> {
  for (const name of names) {
    signal.throwIfAborted();
    const path = `${parent}${name}`;
    const status = await lstat(join(root, path));
    if (status.isDirectory()) {
      if (depth >= MAX_DEPTH) throw tooMany(`directories nested more than ${MAX_DEPTH} deep`);
      await walk(root, await readdir(join(root, path)), `${path}/`, depth + 1, files, signal);
    } else if (status.isFile()) {
      if (files.length >= MAX_FILES) throw tooMany(`more than ${MAX_FILES} files`);
      files.push({ path, size: status.size });
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
