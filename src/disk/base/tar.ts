import { Hyper2kvmError } from '../../errors/error.js';
import { printable } from '../../text/escape-terminal.js';
import { corrupt, readExact, truncated, unsupported } from './bytes.js';
import type { ByteSource } from './format.js';
import { archiveName } from './names.js';
import { readSparseMap, type SparsePart } from './tar-sparse.js';

/**
 * A regular file inside a tar archive, at bytes `offset` to `offset + size` of it. `name` is a path inside
 * it, without `.` and `..`.
 */
export interface TarMember {
  name: string;
  offset: number;
  size: number;
  /** What of a sparse file is in the archive. All else of its `size` bytes is zeros. */
  sparse?: SparseMember;
}

interface SparseMember {
  size: number;
  parts: SparsePart[];
}

const BLOCK = 512;
const MAX_MEMBERS = 1000;
/** With two extensions for each member. */
const MAX_HEADERS = 3 * MAX_MEMBERS + 100;
const MAX_EXTENDED = 64 * 1024;
const DIRECTORY = '5';
const SPARSE = 'S';

/** What extension headers declare about the next member. */
interface Extension {
  name?: string;
  size?: number;
  isSparse?: true;
}

/**
 * Returns the members of an OVA by reading only the headers (POSIX.1-2017 pax, "ustar Interchange Format";
 * GNU's long names and large sizes). Nothing is ever unpacked by name. Rejects with `fetch.refused-reference`
 * for names that lead out of it, `fetch.refused-special` for links and devices, `fetch.unsupported` for
 * sparse members in pax format, `fetch.corrupt` for two members with one name, `fetch.truncated` for a member that ends
 * after the archive.
 */
export async function indexTar(source: ByteSource): Promise<TarMember[]> {
  const members = new Map<string, TarMember>();
  let extended: Extension = {};
  let headers = 0;
  for (let at = 0; at + BLOCK <= source.size; ) {
    headers += 1;
    if (headers > MAX_HEADERS) throw corrupt('the archive has more headers than any real one');
    const header = await readExact(source, at, BLOCK, 'a tar header');
    if (header.every((byte) => byte === 0)) return [...members.values()];
    if (!checksumFits(header)) throw corrupt('a tar header’s checksum is wrong');
    const type = String.fromCharCode(header[156]!);
    const size = extended.size ?? sizeField(header);
    let offset = at + BLOCK;
    let sparse: SparseMember | undefined;
    if (type === SPARSE) {
      const map = await readSparseMap(source, header, { at: offset, stored: size, number: numberIn });
      offset = map.dataAt;
      sparse = { size: map.size, parts: map.parts };
    }
    if (offset + size > source.size)
      throw truncated(`${printable(nameField(header))} ends after the end of the archive`);
    at = offset + Math.ceil(size / BLOCK) * BLOCK;
    if (type === 'L' || type === 'x') {
      if (size > MAX_EXTENDED) throw corrupt('a tar header extension is too long');
      const bytes = await readExact(source, offset, size, 'a tar header extension');
      extended = type === 'L' ? { ...extended, name: cString(bytes) } : { ...extended, ...paxRecords(bytes) };
      continue;
    }
    if (type === 'g') continue;
    const written = extended.name ?? nameField(header);
    if (extended.isSparse) throw sparseMember(written);
    extended = {};
    if (type === DIRECTORY) continue;
    const name = archiveName(written);
    if (type !== '0' && type !== '\0' && type !== '7' && type !== SPARSE) throw refusedSpecial(name);
    if (members.has(name)) throw corrupt(`the archive has two members named ${printable(name)}`);
    if (members.size >= MAX_MEMBERS) throw corrupt(`the archive has more than ${MAX_MEMBERS} members`);
    members.set(name, { name, offset, size, ...(sparse === undefined ? {} : { sparse }) });
  }
  throw truncated('the end of the archive has not arrived');
}

/**
 * Yields the plain files of an archive of any number of members, in their order, by their own headers: XenServer's
 * exports have one for each MiB, with short names. Rejects with `fetch.corrupt`, `fetch.truncated`, and with
 * `fetch.refused-special` for what is no plain file.
 */
export async function* plainMembers(source: ByteSource): AsyncGenerator<TarMember> {
  for (let at = 0; at + BLOCK <= source.size; ) {
    const header = await readExact(source, at, BLOCK, 'a tar header');
    if (header.every((byte) => byte === 0)) return;
    if (!checksumFits(header)) throw corrupt('a tar header’s checksum is wrong');
    const type = String.fromCharCode(header[156]!);
    const [size, offset] = [sizeField(header), at + BLOCK];
    if (offset + size > source.size)
      throw truncated(`${printable(nameField(header))} ends after the end of the archive`);
    if (type === '0' || type === '\0') yield { name: archiveName(nameField(header)), offset, size };
    else if (type !== DIRECTORY) throw refusedSpecial(archiveName(nameField(header)));
    at = offset + Math.ceil(size / BLOCK) * BLOCK;
  }
}

function refusedSpecial(name: string): Hyper2kvmError {
  return new Hyper2kvmError(
    'fetch.refused-special',
    `${printable(name)} in the archive is a link or a device`,
    { advice: 'An OVA holds plain files only: export the VM again.' },
  );
}

function sparseMember(name: string): Hyper2kvmError {
  return unsupported(
    `${printable(name)} is stored in the archive as a sparse file`,
    'Create the archive again without tar’s -S or with --format=oldgnu, or unpack it into a directory and drop that.',
  );
}

/** Checks the sum of all bytes, with the checksum field counted as spaces. */
function checksumFits(header: Buffer): boolean {
  let sum = 0;
  for (let i = 0; i < BLOCK; i += 1) sum += i >= 148 && i < 156 ? 0x20 : header[i]!;
  return sum === octal(header.subarray(148, 156));
}

function nameField(header: Buffer): string {
  const name = cString(header.subarray(0, 100));
  const prefix = header.toString('latin1', 257, 263) === 'ustar\0' ? cString(header.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

function sizeField(header: Buffer): number {
  return numberIn(header.subarray(124, 136));
}

function numberIn(field: Buffer): number {
  // GNU's base-256 encoding, for sizes that do not fit eleven octal digits.
  const size = field[0] === 0x80 ? Number(field.readBigUInt64BE(4)) : octal(field);
  if (!Number.isSafeInteger(size) || size < 0) throw corrupt('a tar header declares an impossible size');
  return size;
}

function octal(field: Buffer): number {
  const text = cString(field).trim();
  return /^[0-7]+$/.test(text) ? Number.parseInt(text, 8) : text === '' ? 0 : Number.NaN;
}

function cString(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
}

/** Parses records of the form `<length> <key>=<value>` with a line end after each. */
function paxRecords(bytes: Buffer): Extension {
  const result: Extension = {};
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = space < 0 ? 0 : Number(bytes.toString('latin1', at, space));
    if (!Number.isInteger(length) || length < 5 || at + length > bytes.length)
      throw corrupt('a tar header extension cannot be read');
    const [key, ...value] = bytes.toString('utf8', space + 1, at + length - 1).split('=');
    if (key === 'path') result.name = value.join('=');
    if (key === 'size') result.size = Number(value.join('='));
    if (key?.startsWith('GNU.sparse.')) result.isSparse = true;
    at += length;
  }
  if (result.size !== undefined && (!Number.isSafeInteger(result.size) || result.size < 0))
    throw corrupt('a tar header declares an impossible size');
  return result;
}
