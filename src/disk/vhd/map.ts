import { readExact, truncated } from '../base/bytes.js';
import { bitRun, TablePages } from '../base/disk-map.js';
import { type ByteSource, type DiskImage, type DiskMap, SECTOR } from '../base/format.js';
import type { VhdTables } from './dynamic.js';

const UNUSED = 0xffff_ffff;

/**
 * Reads where the content is; `tables` is null for a fixed disk. Its methods reject with `fetch.truncated`,
 * `fetch.corrupt`.
 */
export function vhdMap(
  source: ByteSource,
  { virtualSize, variant }: Pick<DiskImage, 'virtualSize' | 'variant'>,
  tables: VhdTables | null,
): DiskMap {
  if (tables === null) return { virtualSize, runAt: async (at, limit) => ({ end: limit, from: at }) };
  const { tableOffset, blocks, blockSize, bitmapBytes } = tables;
  const isDelta = variant === 'differencing';
  const table = new TablePages(source, {
    offset: tableOffset,
    length: blocks * 4,
    what: 'the VHD’s block table',
  });
  let bits: { offset: number; bytes: Buffer } = { offset: -1, bytes: Buffer.alloc(0) };
  const bitsAt = async (offset: number): Promise<Buffer> => {
    if (bits.offset !== offset)
      bits = { offset, bytes: await readExact(source, offset, bitmapBytes, 'a VHD sector bitmap') };
    return bits.bytes;
  };
  return {
    virtualSize,
    async runAt(at, limit) {
      const block = Math.floor(at / blockSize);
      const start = block * blockSize;
      const end = Math.min(limit, start + blockSize);
      const sector = (await table.read(block * 4, 4)).readUInt32BE(0);
      if (sector === UNUSED) return { end, from: isDelta ? 'parent' : 'zeros' };
      const offset = sector * SECTOR;
      if (offset + bitmapBytes + blockSize > source.size)
        throw truncated('a VHD block is beyond the end of the file');
      const from = offset + bitmapBytes + at - start;
      // As QEMU does: in a disk without a parent, a sector that was never written holds zeros.
      if (!isDelta) return { end, from };
      const bytes = await bitsAt(offset);
      const isOwn = (bit: number) => ((bytes[bit >> 3]! << (bit & 7)) & 0x80) !== 0;
      const run = bitRun(Math.floor((at - start) / SECTOR), Math.ceil((end - start) / SECTOR), isOwn);
      return { end: Math.min(end, start + run.end * SECTOR), from: run.value ? from : 'parent' };
    },
  };
}
