import { corrupt, incomplete, readTable, truncated } from '../base/bytes.js';
import type { ByteSource, Completeness, DiskFormat } from '../base/format.js';
import { readLayout, type VhdxLayout } from './layout.js';

/** Hyper-V's VHDX, fixed and dynamic. */
export const vhdx: DiskFormat = {
  name: 'vhdx',
  extensions: ['vhdx', 'avhdx'],
  driver: 'vhdx',
  detect: async (head) => head.toString('latin1', 0, 8) === 'vhdxfile',
  parse: async (source) => {
    const layout = await readLayout(source);
    const image = { format: 'vhdx', variant: 'vhdx', role: 'disk', contentId: null, parent: null } as const;
    return {
      image: { ...image, virtualSize: layout.virtualSize, extents: [] },
      check: (whole) => completeness(whole, layout),
    };
  },
};

const MIB = 1024 * 1024;
/** Payload block states ([MS-VHDX] 2.5.1.1): 6 is fully present, 7 occurs only in differencing disks. */
const PRESENT = 6;

/**
 * Checks that all payload blocks are inside the file. After each "chunk ratio" of payload entries, the table
 * has an entry for a sector bitmap.
 */
async function completeness(source: ByteSource, layout: VhdxLayout): Promise<Completeness> {
  try {
    const blocks = Math.ceil(layout.virtualSize / layout.blockSize);
    const chunkRatio = Math.floor((2 ** 23 * layout.logicalSectorSize) / layout.blockSize);
    const entries = blocks + Math.floor((blocks - 1) / chunkRatio);
    if (entries > 2 ** 24 || entries * 8 > layout.batSize)
      throw corrupt('the VHDX block table does not fit its size');
    let present = 0;
    await readTable(source, layout.batOffset, entries * 8, 'the VHDX block table', (chunk, start) => {
      for (let at = 0; at < chunk.length; at += 8) {
        const low = chunk.readUInt32LE(at);
        const number = (start + at) / 8 + 1;
        if (number % (chunkRatio + 1) === 0 || (low & 7) < PRESENT) continue;
        present += 1;
        // Bits 20 to 63: the offset in MiB.
        const offset = (chunk.readUInt32LE(at + 4) * 2 ** 12 + (low >>> 20)) * MIB;
        if (offset + layout.blockSize > source.size)
          throw truncated('a VHDX block is beyond the end of the file');
      }
    });
    return { complete: true, allocated: Math.min(present * layout.blockSize, layout.virtualSize) };
  } catch (error) {
    return incomplete(error);
  }
}
