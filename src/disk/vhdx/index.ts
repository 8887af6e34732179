import { corrupt, incomplete, readTable, truncated } from '../base/bytes.js';
import type { ByteSource, Completeness, DiskFormat } from '../base/format.js';
import { readLayout, type VhdxLayout } from './layout.js';
import { blockTable, FULLY_PRESENT, offsetOf, PARTLY_PRESENT, vhdxMap } from './map.js';

/** Hyper-V's VHDX: fixed, dynamic and differencing. */
export const vhdx: DiskFormat = {
  name: 'vhdx',
  extensions: ['vhdx', 'avhdx'],
  driver: 'vhdx',
  detect: async (head) => head.toString('latin1', 0, 8) === 'vhdxfile',
  parse: async (source) => {
    const layout = await readLayout(source);
    const { virtualSize, contentId, parent, logicalSectorSize } = layout;
    const is4K = logicalSectorSize === 4096;
    return {
      image: {
        format: 'vhdx',
        variant: parent === null ? 'vhdx' : 'differencing',
        role: 'disk',
        virtualSize,
        contentId,
        parent: parent === null ? null : { ...parent, format: 'vhdx' },
        extents: [],
        ...(is4K || parent !== null ? { isCopied: true as const } : {}),
        ...(is4K ? { sectorSize: 4096 as const } : {}),
      },
      check: (whole) => completeness(whole, layout),
    };
  },
  map: async (source) => vhdxMap(source, await readLayout(source)),
};

/** Checks that all payload blocks and sector bitmaps are inside the file. */
async function completeness(source: ByteSource, layout: VhdxLayout): Promise<Completeness> {
  try {
    const { entries, chunkRatio } = blockTable(layout);
    let present = 0;
    await readTable(source, layout.batOffset, entries * 8, 'the VHDX block table', (chunk, start) => {
      for (let at = 0; at < chunk.length; at += 8) {
        const state = chunk.readUInt32LE(at) & 7;
        if (state !== FULLY_PRESENT && state !== PARTLY_PRESENT) continue;
        const isBitmap = ((start + at) / 8 + 1) % (chunkRatio + 1) === 0;
        if (isBitmap && layout.parent === null) continue;
        const size = isBitmap ? BITMAP_BYTES : layout.blockSize;
        if (offsetOf(chunk, at) + size > source.size)
          throw truncated('a VHDX block lies beyond the end of the file');
        present += isBitmap ? 0 : 1;
      }
    });
    if (present > source.size / layout.blockSize)
      throw corrupt('several VHDX blocks are at the same place in the file');
    return { complete: true, allocated: Math.min(present * layout.blockSize, layout.virtualSize) };
  } catch (error) {
    return incomplete(error);
  }
}

const BITMAP_BYTES = 1024 * 1024;
