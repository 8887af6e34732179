import type { ByteSource } from './base/format.js';
import { type Compression, compressionOf } from './compression.js';

/**
 * How much real disks grow when they are unpacked, not counting holes. A larger one is noticed while
 * unpacking, which then waits for space.
 */
const USUAL_EXPANSION = 4;
/** An index has a few bytes for each block of some MiB, so this one is for TiBs. */
const MAX_INDEX = 1024 ** 2;

/**
 * Returns how many bytes a compressed disk will probably need on disk, for reserving space: what its own
 * header or footer declares, but no more than the usual growth (the rest are zeros, which become holes). 0 if
 * it is not compressed. Never rejects because of the content: a false size only causes a wait.
 */
export async function unpackedEstimate(name: string, source: ByteSource): Promise<number> {
  const packed = compressionOf(name);
  if (packed === null) return 0;
  const said = await SIZES[packed.compression.name](source);
  return Math.min(said ?? Number.POSITIVE_INFINITY, source.size * USUAL_EXPANSION);
}

const SIZES: Record<Compression['name'], (source: ByteSource) => Promise<number | null>> = {
  gzip: gzipSize,
  xz: xzSize,
  zstd: zstdSize,
  // Each block has its own size, and nothing has that of all.
  lzop: async () => null,
};

/**
 * Returns ISIZE (RFC 1952, 2.3.1), which is the size modulo 4 GiB of the last member. Usable only if the
 * content cannot be larger.
 */
async function gzipSize(source: ByteSource): Promise<number | null> {
  // Deflate compresses by a factor of at most 1032.
  if (source.size < 18 || source.size * 1032 >= 2 ** 32) return null;
  const size = (await source.read(source.size - 4, 4)).readUInt32LE(0);
  return size >= source.size / 2 ? size : null;
}

/** Returns the sum of the records in the last stream's index (xz-file-format 1.1, 2.1.2 and 4). */
async function xzSize(source: ByteSource): Promise<number | null> {
  if (source.size < 32) return null;
  const footer = await source.read(source.size - 12, 12);
  const length = (footer.readUInt32LE(4) + 1) * 4;
  if (footer.toString('latin1', 10) !== 'YZ' || length > Math.min(MAX_INDEX, source.size - 12)) return null;
  const index = await source.read(source.size - 12 - length, length);
  const numbers = varints(index, 1);
  const count = numbers.next().value;
  if (index[0] !== 0 || count === undefined) return null;
  let sum = 0;
  for (let record = 0; record < count; record += 1) {
    numbers.next();
    const size = numbers.next().value;
    if (size === undefined) return null;
    sum += size;
  }
  return Number.isSafeInteger(sum) ? sum : null;
}

/**
 * Yields multibyte integers with 7 bits per byte, low ones first (1.2); stops at the end, or at one that is
 * longer than a safe integer.
 */
function* varints(bytes: Buffer, start: number): Generator<number, undefined> {
  let value = 0;
  let scale = 1;
  for (let at = start; at < bytes.length; at += 1) {
    const byte = bytes[at]!;
    value += (byte & 0x7f) * scale;
    scale *= 128;
    if (!Number.isSafeInteger(value)) return;
    if (byte >= 0x80) continue;
    yield value;
    value = 0;
    scale = 1;
  }
}

/**
 * Returns Frame_Content_Size of the first frame (RFC 8878, 3.1.1.1), which programs that compress a pipe
 * omit.
 */
async function zstdSize(source: ByteSource): Promise<number | null> {
  const header = await source.read(0, 18);
  const descriptor = header[4];
  if (descriptor === undefined) return null;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const at = 5 + (isSingleSegment ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!;
  const flag = descriptor >> 6;
  const length = flag === 0 && !isSingleSegment ? 0 : 2 ** flag;
  if (length === 0 || at + length > header.length) return null;
  if (length === 8) return Number(header.readBigUInt64LE(at));
  return header.readUIntLE(at, length) + (length === 2 ? 256 : 0);
}
