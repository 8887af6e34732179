import { Hyper2kvmError } from '../errors/error.js';

/**
 * An entry of the "new ASCII" cpio format of initramfs archives, as the kernel reads it
 * (Documentation/driver-api/early-userspace/buffer-format.rst): a 110-byte header of hexadecimal fields, the
 * name with its NUL, the data; name and data are padded to 4 bytes; the entry `TRAILER!!!` ends the archive.
 */
export interface NewcEntry {
  /** As written, without leading `./` or `/`. */
  path: string;
  /** st_mode: type and permissions. */
  mode: number;
  uid: number;
  gid: number;
  mtime: number;
  data: Buffer;
}

const HEADER_SIZE = 110;
const TRAILER = 'TRAILER!!!';
/** PATH_MAX of the kernel's unpacker: a longer name is not a path. */
const MAX_NAME = 4096;

export const S_IFMT = 0o170000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;

interface NewcHeader {
  mode: number;
  uid: number;
  gid: number;
  mtime: number;
  dataSize: number;
  nameSize: number;
}

/** True if a newc archive (with or without checksums) may start here. */
function isNewc(bytes: Buffer, offset = 0): boolean {
  const magic = bytes.toString('latin1', offset, offset + 6);
  return magic === '070701' || magic === '070702';
}

function corrupt(message: string): Hyper2kvmError {
  return new Hyper2kvmError('guest.cpio-corrupt', message);
}

function parseHeader(bytes: Buffer, offset: number): NewcHeader {
  if (!isNewc(bytes, offset)) throw corrupt('a cpio entry does not start with 070701');
  const field = (index: number): number => {
    const text = bytes.toString('latin1', offset + 6 + index * 8, offset + 14 + index * 8);
    if (!/^[0-9A-Fa-f]{8}$/.test(text)) throw corrupt('a cpio header holds a field that is not hexadecimal');
    return Number.parseInt(text, 16);
  };
  const header = {
    mode: field(1),
    uid: field(2),
    gid: field(3),
    mtime: field(5),
    dataSize: field(6),
    nameSize: field(11),
  };
  if (header.nameSize < 1 || header.nameSize > MAX_NAME) throw corrupt('a cpio entry has an impossible name');
  return header;
}

function entryPath(name: Buffer): string {
  const end = name.indexOf(0);
  const text = name.toString('utf8', 0, end === -1 ? name.length : end);
  return text.replace(/^(?:\.?\/)+/, '');
}

/**
 * Does not use bit operations, which are signed and 32 bits wide: a size in a header may be up to 2^32 - 1.
 */
const align4 = (offset: number): number => Math.ceil(offset / 4) * 4;

/**
 * Yields the entries of the archive at `start`, up to its trailer; returns the offset after the trailer. The
 * data are views of `bytes`. Throws `guest.cpio-corrupt` for anything that points outside the buffer.
 */
export function* readNewc(bytes: Buffer, start = 0): Generator<NewcEntry, number> {
  // Padding counts from the archive's own start, as in the kernel.
  let offset = 0;
  for (;;) {
    if (start + offset + HEADER_SIZE > bytes.length) throw corrupt('a cpio archive ends without its trailer');
    const { nameSize, dataSize, ...attributes } = parseHeader(bytes, start + offset);
    const nameEnd = offset + HEADER_SIZE + nameSize;
    const dataStart = align4(nameEnd);
    const dataEnd = dataStart + dataSize;
    if (start + dataEnd > bytes.length) throw corrupt('a cpio entry is longer than the archive');
    const path = entryPath(bytes.subarray(start + offset + HEADER_SIZE, start + nameEnd));
    if (path === TRAILER) return start + dataEnd;
    yield { path, ...attributes, data: bytes.subarray(start + dataStart, start + dataEnd) };
    offset = align4(dataEnd);
  }
}

/**
 * Returns an archive of `entries`, sorted by path so that directories come before their contents, with
 * consecutive inode numbers, owner root and mtime 0. The same entries give the same bytes.
 */
export function writeNewc(entries: readonly { path: string; mode: number; data?: Buffer }[]): Buffer {
  const sorted = [...entries].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  const pieces: Buffer[] = [];
  const put = (path: string, mode: number, inode: number, data: Buffer) => {
    const name = Buffer.from(`${path}\0`, 'utf8');
    const links = (mode & S_IFMT) === S_IFDIR ? 2 : 1;
    const fields = [inode, mode, 0, 0, links, 0, data.length, 0, 0, 0, 0, name.length, 0];
    const header = `070701${fields.map((value) => value.toString(16).padStart(8, '0')).join('')}`;
    const nameEnd = HEADER_SIZE + name.length;
    pieces.push(Buffer.from(header, 'latin1'), name, Buffer.alloc(align4(nameEnd) - nameEnd));
    pieces.push(data, Buffer.alloc(align4(data.length) - data.length));
  };
  for (const [index, entry] of sorted.entries())
    put(entry.path, entry.mode, index + 1, entry.data ?? Buffer.alloc(0));
  put(TRAILER, 0, 0, Buffer.alloc(0));
  return Buffer.concat(pieces);
}

/**
 * What `NewcScanner` reports of an entry: no data, except the target of a symbolic link and the content of a
 * wanted file.
 */
export interface NewcName {
  path: string;
  mode: number;
  size: number;
  target: string | null;
  content: Buffer | null;
}

/**
 * Reads the same format from a stream, keeping only names and link targets in memory. Several archives may
 * follow each other, with zero bytes between them, as the kernel allows inside one compressed segment. `push`
 * throws `guest.cpio-corrupt`.
 */
export class NewcScanner {
  readonly #onEntry: (entry: NewcName) => void;
  #pending: Buffer = Buffer.alloc(0);
  /** Bytes of file data and padding still to be skipped. */
  #skip = 0;
  /** True before the first header and after a trailer. */
  #between = true;
  archives = 0;
  readonly #isWanted: (path: string, size: number) => boolean;

  /** `isWanted` decides by path and size whether the content is kept, which is then in memory as a whole. */
  constructor(
    onEntry: (entry: NewcName) => void,
    isWanted: (path: string, size: number) => boolean = () => false,
  ) {
    this.#onEntry = onEntry;
    this.#isWanted = isWanted;
  }

  push(chunk: Buffer): void {
    let bytes = chunk;
    if (this.#skip > 0) {
      const passed = Math.min(this.#skip, bytes.length);
      this.#skip -= passed;
      bytes = bytes.subarray(passed);
    }
    if (bytes.length === 0) return;
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    while (this.#takeEntry());
    // Copied, so that a small rest does not keep the large chunk in memory.
    if (this.#pending.length > 0) this.#pending = Buffer.from(this.#pending);
  }

  /** Throws if the stream ended inside an archive. */
  end(): void {
    if (!this.#between || this.#pending.length > 0 || this.#skip > 3)
      throw corrupt('a cpio archive ends without its trailer');
  }

  #takeEntry(): boolean {
    if (this.#between) this.#dropZeros();
    if (this.#pending.length < HEADER_SIZE) return false;
    const { nameSize, dataSize, mode } = parseHeader(this.#pending, 0);
    const dataStart = align4(HEADER_SIZE + nameSize);
    const isLink = (mode & S_IFMT) === S_IFLNK;
    if (isLink && dataSize > MAX_NAME) throw corrupt('a symbolic link in a cpio archive is too long');
    if (this.#pending.length < dataStart) return false;
    const path = entryPath(this.#pending.subarray(HEADER_SIZE, HEADER_SIZE + nameSize));
    const isKept = (mode & S_IFMT) === S_IFREG && this.#isWanted(path, dataSize);
    const needed = isLink || isKept ? dataStart + dataSize : dataStart;
    if (this.#pending.length < needed) return false;
    const content = isKept ? Buffer.from(this.#pending.subarray(dataStart, dataStart + dataSize)) : null;
    const target = isLink ? this.#pending.toString('utf8', dataStart, dataStart + dataSize) : null;
    const entryEnd = align4(dataStart + dataSize);
    const available = Math.min(entryEnd, this.#pending.length);
    this.#skip = entryEnd - available;
    this.#pending = this.#pending.subarray(available);
    this.#between = path === TRAILER;
    if (this.#between) this.archives += 1;
    else this.#onEntry({ path, mode, size: dataSize, target, content });
    return this.#pending.length > 0;
  }

  #dropZeros(): void {
    let zeros = 0;
    while (zeros < this.#pending.length && this.#pending[zeros] === 0) zeros += 1;
    if (zeros > 0) this.#pending = this.#pending.subarray(zeros);
  }
}
