import { corrupt, readExact, truncated } from '../base/bytes.js';
import { bitRun, TablePages } from '../base/disk-map.js';
import type { ByteSource, DiskMap, Run } from '../base/format.js';
import type { VhdxLayout } from './layout.js';

/** Payload block states ([MS-VHDX] 2.5.1.1). */
const NOT_PRESENT = 0;
/** The largest of those that read as zeros, also in a differencing disk: undefined, zero, unmapped. */
const UNMAPPED = 3;
export const FULLY_PRESENT = 6;
/** Only in differencing disks: a bitmap tells which sectors are in this file. */
export const PARTLY_PRESENT = 7;

const MIB = 1024 * 1024;
/** One sector bitmap has so many bits. */
const CHUNK_SECTORS = 2 ** 23;

/** Returns the place of an entry's block in the file: bits 20 to 63 are its offset in MiB. */
export function offsetOf(table: Buffer, at: number): number {
  return (table.readUInt32LE(at + 4) * 2 ** 12 + (table.readUInt32LE(at) >>> 20)) * MIB;
}

/**
 * Returns the number of entries in the block table. After each "chunk ratio" of blocks it has an entry for a
 * sector bitmap; a differencing disk has one for the last blocks too. Throws `fetch.corrupt`.
 */
export function blockTable(layout: VhdxLayout): { entries: number; chunkRatio: number } {
  const blocks = Math.ceil(layout.virtualSize / layout.blockSize);
  const chunkRatio = Math.floor((CHUNK_SECTORS * layout.logicalSectorSize) / layout.blockSize);
  const entries =
    layout.parent === null
      ? blocks + Math.floor((blocks - 1) / chunkRatio)
      : Math.ceil(blocks / chunkRatio) * (chunkRatio + 1);
  if (entries > 2 ** 24 || entries * 8 > layout.batSize)
    throw corrupt('the VHDX block table does not fit its size');
  return { entries, chunkRatio };
}

/** Reads where the content is. Its methods reject with `fetch.truncated`, `fetch.corrupt`. */
export function vhdxMap(source: ByteSource, layout: VhdxLayout): DiskMap {
  const { virtualSize, blockSize, logicalSectorSize, batOffset, parent } = layout;
  const { entries, chunkRatio } = blockTable(layout);
  const table = new TablePages(source, {
    offset: batOffset,
    length: entries * 8,
    what: 'the VHDX block table',
  });
  const sectors = blockSize / logicalSectorSize;
  /** The part of a sector bitmap for one block. */
  let bits: { block: number; bytes: Buffer } = { block: -1, bytes: Buffer.alloc(0) };
  const bitsOf = async (block: number): Promise<Buffer> => {
    if (bits.block === block) return bits.bytes;
    const chunk = Math.floor(block / chunkRatio);
    const entry = await table.read((chunk * (chunkRatio + 1) + chunkRatio) * 8, 8);
    if ((entry.readUInt32LE(0) & 7) !== FULLY_PRESENT) throw corrupt('a VHDX sector bitmap is missing');
    const at = offsetOf(entry, 0) + ((block % chunkRatio) * sectors) / 8;
    bits = { block, bytes: await readExact(source, at, sectors / 8, 'a VHDX sector bitmap') };
    return bits.bytes;
  };
  const partialRun = async (
    block: number,
    at: number,
    limit: number,
  ): Promise<{ end: number; isOwn: boolean }> => {
    const bytes = await bitsOf(block);
    const start = block * blockSize;
    const { value, end } = bitRun(
      Math.floor((at - start) / logicalSectorSize),
      Math.ceil((limit - start) / logicalSectorSize),
      (bit) => ((bytes[bit >> 3]! >> (bit & 7)) & 1) === 1,
    );
    return { end: Math.min(limit, start + end * logicalSectorSize), isOwn: value };
  };
  return {
    virtualSize,
    async runAt(at, limit): Promise<Run> {
      const block = Math.floor(at / blockSize);
      const entry = await table.read((block + Math.floor(block / chunkRatio)) * 8, 8);
      const state = entry.readUInt32LE(0) & 7;
      const end = Math.min(limit, (block + 1) * blockSize);
      if (state === NOT_PRESENT) return { end, from: parent === null ? 'zeros' : 'parent' };
      if (state <= UNMAPPED) return { end, from: 'zeros' };
      const offset = offsetOf(entry, 0);
      if (offset + blockSize > source.size) throw truncated('a VHDX block lies beyond the end of the file');
      const from = offset + at - block * blockSize;
      if (state === FULLY_PRESENT) return { end, from };
      if (state !== PARTLY_PRESENT || parent === null)
        throw corrupt('the VHDX block table has an impossible state');
      const part = await partialRun(block, at, end);
      return { end: part.end, from: part.isOwn ? from : 'parent' };
    },
  };
}
