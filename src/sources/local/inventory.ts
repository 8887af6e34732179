import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DropFile } from '../../disk/assemble.js';
import { isArchive } from '../../disk/base/archive-names.js';
import { isNotUtf8, refusedName } from '../../disk/base/names.js';
import { finalName } from '../../disk/base/partial-names.js';
import { pieceOf } from '../../disk/base/pieces.js';
import { innerName } from '../../disk/compression.js';
import { type Places, refusedSpecial, refuseHardLinks } from '../../disk/file-source.js';
import { formatOfExtension } from '../../disk/formats.js';
import { Hyper2kvmError } from '../../errors/error.js';
import type { DropPlace } from '../../model/drop.js';
import { printable } from '../../text/escape-terminal.js';
import { insideOf, visible } from './archive.js';
import { isDescription } from './description-names.js';
import { joinPieces } from './join-pieces.js';
import type { Unpacker } from './unpack.js';

/** The contents of a drop. */
export interface Inventory {
  places: Places;
  /**
   * The prefix that turns a member's name into the one that the owner knows: empty, `web01/`, or `web01.ova/`
   * for the members of an archive.
   */
  prefix: string;
  /** All regular files, with paths relative to the drop's directory, sorted. */
  files: { path: string; size: number }[];
  /** Allocated bytes of all files, and bytes of their holes. */
  data: number;
  holes: number;
  /** The files of the VM or the members of its archive; names are paths within it. */
  members: DropFile[];
  /** The pieces that members were put together from. */
  pieces: DropFile[];
  /** Files that are ignored, by the names that the owner knows. */
  hidden: string[];
}

export interface InventoryOptions {
  /**
   * Refuse files with further hard links: in the spool they would disclose files that only the service's user
   * may read.
   */
  refuseHardLinks: boolean;
  workDirectory: string;
  /** Used for an archive that is compressed. */
  unpacker: Unpacker;
  signal: AbortSignal;
}

const MAX_FILES = 10_000;
const MAX_DEPTH = 8;

/**
 * Lists every file of the drop without following links, and the members of an archive. Rejects with
 * `fetch.refused-special`, `fetch.too-many-files`, `fetch.empty`, `fetch.several-vms`, `fetch.unfinished`.
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
    throw new Hyper2kvmError('fetch.empty', 'the drop has no files');
  }
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  // Checked before any of them is read.
  for (const { path } of options.refuseHardLinks ? files : []) {
    options.signal.throwIfAborted();
    refuseHardLinks(path, await lstat(join(directory, path)));
  }
  const places = { drop: directory, work: options.workDirectory };
  const prefix = droppedDirectory(entries, files);
  const own = visible(
    files
      .filter(({ path }) => !path.endsWith('.toml'))
      .map(({ path, size }) => ({
        name: path.startsWith(prefix) ? path.slice(prefix.length) : path,
        size,
        bytes: { type: 'file', place: 'drop', path },
      })),
    prefix,
  );
  const names = new Set(own.members.map(({ name }) => name));
  refuseUnfinished(own.members, (name) => isDiskName(name) || (!names.has(name) && isDescription(name)));
  const known = { places, files, data, holes };
  const whole = await joinPieces(own.members, places, options.unpacker);
  return { ...known, ...(await insideOf({ ...own, ...whole, prefix }, places, options.unpacker)) };
}

/** True for the name of a disk, of a piece of one, and of an archive. */
function isDiskName(name: string): boolean {
  const inner = innerName(pieceOf(name)?.whole ?? name);
  return formatOfExtension(inner) !== null || isArchive(inner);
}

/**
 * Throws `fetch.unfinished` if a file that `matters` is still being written, or was given up: it has holes that look
 * like zeros of the disk. Other files that were left so (`vmware.log.tmp`) are part of no disk.
 */
export function refuseUnfinished(members: readonly DropFile[], matters: (name: string) => boolean): void {
  for (const { name } of members) {
    const final = finalName(name);
    if (final === null || !matters(final)) continue;
    throw new Hyper2kvmError(
      'fetch.unfinished',
      `${printable(final)} is not whole: ${printable(name)} is what a copy or download leaves until it has ended`,
      {
        advice:
          'Let the download end, or start it again. If the disk is whole, remove that file and drop the disk again.',
      },
    );
  }
}

/** `web01/` if the drop is that one directory (and perhaps its job.toml), otherwise empty. */
export function droppedDirectory(entries: readonly string[], files: readonly { path: string }[]): string {
  const [first, ...others] = entries.filter((name) => !name.endsWith('.job.toml'));
  if (first === undefined || others.length > 0 || files.some(({ path }) => path === first)) return '';
  return `${first}/`;
}

interface FoundFile {
  path: string;
  size: number;
  /** Allocated bytes. */
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
  return new Hyper2kvmError('fetch.too-many-files', `the drop has ${what}`);
}
