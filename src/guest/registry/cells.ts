import { BASE_BLOCK_BYTES, checkExtent, PAGE_BYTES, readBaseBlock } from './base-block.js';
import { corruptHive } from './errors.js';

/** "Nothing" in every field that is an offset. */
export const NIL = 0xffff_ffff;
const BIN_HEADER_BYTES = 32;

/** The cells of a hive: what every offset in it points to. */
export interface Cells {
  /** Offset of the root key's cell. */
  root: number;
  minorVersion: number;
  /** Bytes of all cells together. */
  size: number;
  /** Content of the cell in use at `offset`, without its size field; a view. Throws `guest.hive-corrupt`. */
  at(offset: number, what: string): Buffer;
}

/** The cells of a hive whose base block and bins are in order. Throws `guest.hive-*`. */
export function openCells(bytes: Buffer): Cells {
  const base = readBaseBlock(bytes);
  checkExtent(bytes, base);
  const bins = bytes.subarray(BASE_BLOCK_BYTES, BASE_BLOCK_BYTES + base.binsSize);
  checkBins(bins);
  return {
    root: base.rootCell,
    minorVersion: base.minorVersion,
    size: bins.length,
    at: (offset, what) => cellAt(bins, offset, what),
  };
}

function cellAt(bins: Buffer, offset: number, what: string): Buffer {
  if (offset % 8 !== 0 || offset < BIN_HEADER_BYTES || offset + 8 > bins.length)
    throw corruptHive(`the offset of ${what} leads out of it`);
  const size = -bins.readInt32LE(offset);
  if (size <= 0) throw corruptHive(`${what} is in a free cell`);
  if (size < 8 || size % 8 !== 0 || offset + size > bins.length)
    throw corruptHive(`the cell of ${what} has an impossible size`);
  return bins.subarray(offset + 4, offset + size);
}

/** Bins follow each other without gaps, and each knows its place. */
function checkBins(bins: Buffer): void {
  let offset = 0;
  while (offset < bins.length) {
    if (bins.toString('latin1', offset, offset + 4) !== 'hbin' || bins.readUInt32LE(offset + 4) !== offset)
      throw corruptHive(`no bin begins at offset ${offset}`);
    const size = bins.readUInt32LE(offset + 8);
    if (size < PAGE_BYTES || size % PAGE_BYTES !== 0 || offset + size > bins.length)
      throw corruptHive(`the bin at offset ${offset} has an impossible size`);
    offset += size;
  }
}
