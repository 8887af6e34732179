import { crc32 } from 'node:zlib';

/**
 * The compression of a segment of an initramfs. This file detects which one starts at an offset and, if the
 * format shows it without unpacking, where it ends. The magic numbers are those of the kernel's
 * lib/decompress.c.
 */
export type Compression = 'none' | 'gzip' | 'zstd' | 'xz' | 'lz4' | 'lzma' | 'bzip2' | 'lzo';

const MAGICS: readonly { compression: Compression; bytes: readonly number[] }[] = [
  { compression: 'none', bytes: [0x30, 0x37, 0x30, 0x37, 0x30] },
  { compression: 'gzip', bytes: [0x1f, 0x8b] },
  { compression: 'gzip', bytes: [0x1f, 0x9e] },
  { compression: 'zstd', bytes: [0x28, 0xb5, 0x2f, 0xfd] },
  { compression: 'xz', bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] },
  { compression: 'lz4', bytes: [0x02, 0x21, 0x4c, 0x18] },
  { compression: 'lzma', bytes: [0x5d, 0x00, 0x00] },
  { compression: 'bzip2', bytes: [0x42, 0x5a, 0x68] },
  { compression: 'lzo', bytes: [0x89, 0x4c, 0x5a, 0x4f, 0x00] },
];

/**
 * Returns the compression whose magic is at `offset`, or null for anything that the kernel would not unpack
 * either.
 */
export function compressionAt(bytes: Buffer, offset: number): Compression | null {
  const found = MAGICS.find(({ bytes: magic }) =>
    magic.every((byte, index) => bytes[offset + index] === byte),
  );
  return found?.compression ?? null;
}

/** Returns the offset of the deflate data of a gzip member (RFC 1952), or null if the header is truncated. */
export function gzipDataOffset(bytes: Buffer, start: number): number | null {
  const flags = bytes[start + 3];
  if (flags === undefined) return null;
  let offset = start + 10;
  if (flags & 4) {
    if (offset + 2 > bytes.length) return null;
    offset += 2 + bytes.readUInt16LE(offset);
  }
  for (const flag of [8, 16]) {
    if ((flags & flag) === 0) continue;
    const end = bytes.indexOf(0, offset);
    if (end === -1) return null;
    offset = end + 1;
  }
  if (flags & 2) offset += 2;
  return offset < bytes.length ? offset : null;
}

/**
 * Returns the end of the zstd frame at `start` by its block headers (RFC 8878), or null if it is truncated.
 */
export function zstdFrameEnd(bytes: Buffer, start: number): number | null {
  const descriptor = bytes[start + 4];
  if (descriptor === undefined) return null;
  const singleSegment = (descriptor & 0x20) !== 0;
  const contentSizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] as number;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] as number;
  let offset = start + 5 + (singleSegment ? 0 : 1) + dictionaryBytes + contentSizeBytes;
  for (;;) {
    if (offset + 3 > bytes.length) return null;
    const header = bytes.readUIntLE(offset, 3);
    const isRle = ((header >> 1) & 3) === 1;
    offset += 3 + (isRle ? 1 : header >> 3);
    if (offset > bytes.length) return null;
    if (header & 1) break;
  }
  const end = offset + (descriptor & 4 ? 4 : 0);
  return end <= bytes.length ? end : null;
}

/**
 * Returns the end of the xz stream at `start`: the first aligned footer whose CRC32 and flags are valid
 * (xz-file-format.txt, 2.1.2), because following the blocks would need unpacking. Null if there is none.
 */
export function xzStreamEnd(bytes: Buffer, start: number): number | null {
  const flags = bytes.subarray(start + 6, start + 8);
  for (let footer = start + 20; footer + 12 <= bytes.length; footer += 4) {
    if (bytes[footer + 10] !== 0x59 || bytes[footer + 11] !== 0x5a) continue;
    if (!bytes.subarray(footer + 8, footer + 10).equals(flags)) continue;
    if (bytes.readUInt32LE(footer) === crc32(bytes.subarray(footer + 4, footer + 10))) return footer + 12;
  }
  return null;
}

/**
 * Returns the end of the lzop file at `start` by its block headers (lzop's conf.h and
 * lib/decompress_unlzo.c), or null if it is truncated.
 */
export function lzopEnd(bytes: Buffer, start: number): number | null {
  try {
    const isNew = bytes.readUInt16BE(start + 9) >= 0x0940;
    const flagsAt = start + (isNew ? 17 : 14);
    const flags = bytes.readUInt32BE(flagsAt);
    const nameAt = flagsAt + 4 + (flags & 0x800 ? 4 : 0) + (isNew ? 12 : 8);
    let offset = nameAt + 1 + bytes.readUInt8(nameAt) + 4;
    if (flags & 0x40) offset += 8 + bytes.readUInt32BE(offset);
    const checks = (mask: readonly number[]) => 4 * mask.filter((bit) => flags & bit).length;
    for (;;) {
      const unpacked = bytes.readUInt32BE(offset);
      if (unpacked === 0) return offset + 4;
      const packed = bytes.readUInt32BE(offset + 4);
      offset += 8 + checks([0x1, 0x100]) + (packed < unpacked ? checks([0x2, 0x200]) : 0) + packed;
    }
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** A gzip header as buildAppendix writes it: no name, mtime 0. */
const APPENDIX_MAGIC = Buffer.from([0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0]);

/**
 * Returns the end of a bzip2 or lzma segment. Neither format shows its end without unpacking. In
 * distributions' files nothing follows one but an appendix of ours, at an aligned offset after zero padding.
 */
export function endBeforeAppendix(bytes: Buffer, start: number): number {
  for (let found = bytes.indexOf(APPENDIX_MAGIC, start); found !== -1; ) {
    if (found % 4 === 0) return found;
    found = bytes.indexOf(APPENDIX_MAGIC, found + 1);
  }
  return bytes.length;
}

const LZ4_LEGACY_BLOCK = 8 * 1024 * 1024;
const LZ4_LEGACY_BOUND = LZ4_LEGACY_BLOCK + Math.floor(LZ4_LEGACY_BLOCK / 255) + 16;
const LZ4_LEGACY_MAGIC = 0x184c2102;

/**
 * Returns the end of the lz4 legacy stream at `start`. The format has no end mark: it continues, across
 * further magics, until a size that cannot be a block (the kernel's unlz4 stops at 0). Null if a block is
 * truncated.
 */
export function lz4LegacyEnd(bytes: Buffer, start: number): number | null {
  let offset = start + 4;
  while (offset + 4 <= bytes.length) {
    const size = bytes.readUInt32LE(offset);
    if (size === LZ4_LEGACY_MAGIC) {
      offset += 4;
      continue;
    }
    if (size === 0 || size > LZ4_LEGACY_BOUND) return offset;
    offset += 4 + size;
    if (offset > bytes.length) return null;
  }
  return offset;
}

/**
 * Stores `data` as an lz4 legacy stream of literals. An lz4 initramfs needs its appendix in this form and
 * without padding: kernels before 5.9 treat zero bytes or another magic after the stream as corruption, but
 * never a further lz4 magic (lib/decompress_unlz4.c).
 */
export function lz4LegacyStore(data: Buffer): Buffer {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(LZ4_LEGACY_MAGIC);
  const pieces: Buffer[] = [magic];
  for (let offset = 0; offset < data.length; offset += LZ4_LEGACY_BLOCK) {
    const literals = data.subarray(offset, offset + LZ4_LEGACY_BLOCK);
    const size = Buffer.alloc(4);
    const head = literalsHeader(literals.length);
    size.writeUInt32LE(head.length + literals.length);
    pieces.push(size, head, literals);
  }
  return Buffer.concat(pieces);
}

/** Returns the token and length bytes of one lz4 sequence that is all literals (lz4_Block_format.md). */
function literalsHeader(length: number): Buffer {
  if (length < 15) return Buffer.from([length << 4]);
  const rest = length - 15;
  const full = Math.floor(rest / 255);
  return Buffer.concat([Buffer.from([0xf0]), Buffer.alloc(full, 0xff), Buffer.from([rest % 255])]);
}
