import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { DropFile } from '../../disk/assemble.js';
import { isArchive, isOva } from '../../disk/base/archive-names.js';
import { isNotUtf8, refusedName } from '../../disk/base/names.js';
import { finalName } from '../../disk/base/partial-names.js';
import { pieceOf } from '../../disk/base/pieces.js';
import { indexTar, type TarMember } from '../../disk/base/tar.js';
import { indexZip, looksLikeZip, type ZipMember } from '../../disk/base/zip.js';
import { compressionIn, innerName } from '../../disk/compression.js';
import { type Places, refusedSpecial, refuseHardLinks, withBytes } from '../../disk/file-source.js';
import { type ForeignContent, foreignArchive } from '../../disk/foreign.js';
import { formatOfExtension } from '../../disk/formats.js';
import { Hyper2kvmError } from '../../errors/error.js';
import type { DropPlace } from '../../model/drop.js';
import { printable } from '../../text/escape-terminal.js';
import { gzipFrame } from '../../tools/unpack.js';
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
  const archive = onlyArchive(whole.members);
  if (archive === null) return { ...known, ...own, ...whole, prefix };
  const folder = `${prefix}${innerName(archive.name)}/`;
  const inside = visible(await membersOf(archive, places, options.unpacker), folder);
  const joined = await joinPieces(inside.members, places, options.unpacker);
  return { ...known, ...joined, prefix: folder, hidden: [...own.hidden, ...inside.hidden] };
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

/**
 * Leaves out what macOS adds beside other files, and all other hidden files: none of them belong to the VM.
 */
function visible(files: readonly DropFile[], prefix: string): Pick<Inventory, 'members' | 'hidden'> {
  const isHidden = ({ name }: DropFile) =>
    name.split('/').some((part) => part.startsWith('.') || part === '__MACOSX');
  const members = files.filter((file) => !isHidden(file));
  return {
    members,
    hidden: files.filter(isHidden).map(({ name }) => prefix + name),
  };
}

/** Returns the archive if the drop is one. */
function onlyArchive(members: readonly DropFile[]): DropFile | null {
  const own = members.filter(({ name }) => !name.includes('/'));
  const isDisk = ({ name }: DropFile) => formatOfExtension(innerName(name)) !== null;
  const ovas = own.filter(({ name }) => isOva(innerName(name)));
  // Beside disks (or where those are in folders), logs and the like are archived too.
  const isVm = members.some((file) => isDisk(file) || /\.(?:vmx|ovf)$/i.test(file.name));
  const others = isVm ? [] : own.filter(({ name }) => isArchive(innerName(name)));
  const [first, second] = ovas.length > 0 ? ovas : others;
  if (first === undefined) return null;
  if (second === undefined && !own.some(isDisk)) return first;
  throw new Hyper2kvmError(
    'fetch.several-vms',
    `the drop has ${printable(first.name)} and other disks or archives`,
    {
      advice: 'Drop each archive on its own.',
    },
  );
}

/**
 * Reads an archive in place: its members are parts of the one file. A compressed one is unpacked first, as are
 * the members of a ZIP archive and sparse files in a tar.
 */
async function membersOf(archive: DropFile, places: Places, unpacker: Unpacker): Promise<DropFile[]> {
  const packed = await withBytes(archive.bytes, places, (source) => compressionIn(archive.name, source));
  const { bytes } =
    packed === null ? archive : await unpacker.unpack(archive, packed.compression.name, places);
  const part = ({ name, offset, size }: TarMember | ZipMember): DropFile => ({
    name,
    size,
    bytes: { ...bytes, region: { offset, size } },
  });
  const isZip = await withBytes(bytes, places, async (source) => looksLikeZip(await source.read(0, 4)));
  if (!isZip) {
    const foreign = await withBytes(bytes, places, foreignArchive);
    if (foreign !== null) throw notAnArchive(archive.name, foreign);
    const files: DropFile[] = [];
    for (const member of await withBytes(bytes, places, indexTar)) {
      const file = part(member);
      files.push(
        member.sparse === undefined ? file : await withHoles(file, member, { bytes, places, unpacker }),
      );
    }
    return files;
  }
  const members: DropFile[] = [];
  for (const member of await withBytes(bytes, places, indexZip)) {
    const file = part(member);
    const { deflated } = member;
    if (deflated === null) members.push(file);
    else members.push({ ...file, ...(await unpacker.unpack(file, 'gzip', places, gzipFrame(deflated))) });
  }
  return members;
}

const BLOCK_BYTES = 1024 * 1024;

/** Makes a sparse file of a tar as it was. */
async function withHoles(
  file: DropFile,
  { name, sparse }: TarMember,
  { bytes, places, unpacker }: { bytes: DropFile['bytes']; places: Places; unpacker: Unpacker },
): Promise<DropFile> {
  const { size, parts } = sparse!;
  const fill = (put: (block: Buffer, at: number) => Promise<void>) =>
    withBytes(bytes, places, async (source) => {
      for (const { at, offset, length } of parts)
        for (let done = 0; done < length; done += BLOCK_BYTES)
          await put(await source.read(offset + done, Math.min(BLOCK_BYTES, length - done)), at + done);
    });
  return { name, ...(await unpacker.make({ name, from: [file], size, fill }, places)) };
}

function notAnArchive(name: string, { what, advice }: ForeignContent): Hyper2kvmError {
  return new Hyper2kvmError(
    'fetch.unknown-format',
    `${printable(name)}: this is not an archive of a VM: it ${what}`,
    {
      advice: advice ?? 'Export the VM again.',
    },
  );
}

/** `web01/` if the drop is that one directory (and perhaps its job.toml), otherwise empty. */
function droppedDirectory(entries: readonly string[], files: Inventory['files']): string {
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
