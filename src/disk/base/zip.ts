import { Hyper2kvmError } from '../../errors/error.js';
import { printable } from '../../text/escape-terminal.js';
import { corrupt, readExact, truncated, u64le, unsupported } from './bytes.js';
import type { ByteSource } from './format.js';
import { archiveName } from './names.js';
import { decodeText } from './text.js';

/** A regular file inside a ZIP archive, at bytes `offset` to `offset + size` of it, plain or in deflate. */
export interface ZipMember {
  name: string;
  offset: number;
  size: number;
  /** Set if the member is compressed: its size and checksum after unpacking. */
  deflated: { crc32: number; size: number } | null;
}

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
/** Of the directory; it follows the entries. */
const SIGNATURE = 0x05054b50;
const END = 0x06054b50;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const END_BYTES = 22;
const MAX_COMMENT = 0xffff;
const MAX_MEMBERS = 1000;
const MAX_DIRECTORY = 1024 ** 2;
const STORED = 0;
const DEFLATED = 8;
const ENCRYPTED = 1;
/** Value of "version made by" for which the attributes contain a Unix mode. */
const UNIX = 3;
const TYPE_MASK = 0o170000;
const REGULAR = 0o100000;

export function looksLikeZip(head: Buffer): boolean {
  return head.length >= 4 && head.readUInt32LE(0) === LOCAL;
}

/**
 * Returns the members of a ZIP archive (PKWARE's APPNOTE.TXT 6.3, 4.3) by its central directory. Nothing is
 * unpacked by name. Rejects with `fetch.truncated` while its end has not arrived, `fetch.corrupt`,
 * `fetch.refused-reference` for names that lead out of it, `fetch.refused-special` for links and devices,
 * `fetch.unsupported` for encryption and other compressions.
 */
export async function indexZip(source: ByteSource): Promise<ZipMember[]> {
  const directory = await findDirectory(source);
  const bytes = await readExact(source, directory.offset, directory.size, 'the ZIP directory');
  const members = new Map<string, ZipMember>();
  let at = 0;
  while (at + 46 <= bytes.length && bytes.readUInt32LE(at) === CENTRAL) {
    const length =
      46 + bytes.readUInt16LE(at + 28) + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
    if (at + length > bytes.length) throw corrupt('an entry of the ZIP directory ends outside of it');
    const entry = bytes.subarray(at, at + length);
    at += length;
    const written = decodeText(entry.subarray(46, 46 + entry.readUInt16LE(28)), null);
    if (/[/\\]$/.test(written)) continue;
    const name = archiveName(written);
    if (members.has(name)) throw corrupt(`the archive has two members named ${printable(name)}`);
    if (members.size >= MAX_MEMBERS) throw corrupt(`the archive has more than ${MAX_MEMBERS} members`);
    members.set(name, await memberOf(name, entry, source, directory.offset));
  }
  if (at < bytes.length && (at + 4 > bytes.length || bytes.readUInt32LE(at) !== SIGNATURE))
    throw corrupt('the ZIP directory has something else between its entries');
  if (members.size === 0) throw corrupt('the ZIP archive has no members');
  refuseOverlaps([...members.values()]);
  return [...members.values()];
}

/** Members that share their bytes would be unpacked to far more than the archive's size. */
function refuseOverlaps(members: readonly ZipMember[]): void {
  let end = 0;
  for (const { name, offset, size } of members.toSorted((a, b) => a.offset - b.offset)) {
    if (size > 0 && offset < end) throw corrupt(`${printable(name)} shares its bytes with another member`);
    end = Math.max(end, offset + size);
  }
}

async function findDirectory(source: ByteSource): Promise<{ offset: number; size: number }> {
  const start = Math.max(0, source.size - END_BYTES - MAX_COMMENT);
  const tail = await source.read(start, source.size - start);
  for (let at = tail.length - END_BYTES; at >= 0; at -= 1) {
    if (tail.readUInt32LE(at) !== END || at + END_BYTES + tail.readUInt16LE(at + 20) !== tail.length)
      continue;
    const place = { offset: tail.readUInt32LE(at + 16), size: tail.readUInt32LE(at + 12) };
    const is64 = at >= 20 && tail.readUInt32LE(at - 20) === LOCATOR_64;
    const found = is64 ? await directory64(source, tail.subarray(at - 20, at)) : place;
    if (found.size > MAX_DIRECTORY) throw corrupt('the ZIP directory is larger than that of any VM');
    if (found.offset + found.size > start + at)
      throw corrupt('the ZIP directory is not where the archive says');
    return found;
  }
  throw truncated('the end of the ZIP archive has not arrived');
}

async function directory64(source: ByteSource, locator: Buffer): Promise<{ offset: number; size: number }> {
  const end = await readExact(source, u64le(locator, 8, 'the ZIP64 end'), 56, 'the ZIP64 end');
  if (end.readUInt32LE(0) !== END_64) throw corrupt('the ZIP64 end is not where the archive says');
  return { offset: u64le(end, 48, 'the ZIP directory'), size: u64le(end, 40, 'the ZIP directory') };
}

async function memberOf(
  name: string,
  entry: Buffer,
  source: ByteSource,
  directory: number,
): Promise<ZipMember> {
  const mode = entry.readUInt16LE(40);
  if (entry[5] === UNIX && (mode & TYPE_MASK) !== 0 && (mode & TYPE_MASK) !== REGULAR)
    throw new Hyper2kvmError(
      'fetch.refused-special',
      `${printable(name)} in the archive is a link or a device`,
      {
        advice: 'An OVA holds plain files only: export the VM again.',
      },
    );
  const method = entry.readUInt16LE(10);
  if ((entry.readUInt16LE(8) & ENCRYPTED) !== 0 || (method !== STORED && method !== DEFLATED))
    throw unsupported(
      `${printable(name)} in the archive is encrypted, or compressed by another method than deflate`,
      'Unpack the archive into a directory, and drop that.',
    );
  const { size, unpacked, header } = sizesOf(entry);
  const local = await readExact(source, header, 30, 'a member’s header');
  if (local.readUInt32LE(0) !== LOCAL)
    throw corrupt(`${printable(name)} is not where the ZIP directory says`);
  const offset = header + 30 + local.readUInt16LE(26) + local.readUInt16LE(28);
  if (offset + size > directory) throw corrupt(`${printable(name)} reaches into the ZIP directory`);
  if (method === STORED && size !== unpacked) throw corrupt(`${printable(name)} has two different sizes`);
  const deflated = method === STORED ? null : { crc32: entry.readUInt32LE(16), size: unpacked };
  return { name, offset, size, deflated };
}

const IN_EXTRA = 0xffff_ffff;
const EXTRA_64 = 1;

/**
 * Returns the sizes and the offset of the local header; a value that does not fit 32 bits is in an extra
 * field, in this order.
 */
function sizesOf(entry: Buffer): { size: number; unpacked: number; header: number } {
  const fields = [24, 20, 42].map((at) => entry.readUInt32LE(at));
  const start = 46 + entry.readUInt16LE(28);
  const extra = entry.subarray(start, start + entry.readUInt16LE(30));
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== EXTRA_64) continue;
    let next = at + 4;
    for (const [index, value] of fields.entries()) {
      if (value !== IN_EXTRA) continue;
      if (next + 8 > extra.length) throw corrupt('a ZIP64 field is too short');
      fields[index] = u64le(extra, next, 'a size in the ZIP directory');
      next += 8;
    }
  }
  const [unpacked, size, header] = fields as [number, number, number];
  return { size, unpacked, header };
}
