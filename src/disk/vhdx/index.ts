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
      image: {
        ...image,
        virtualSize: layout.virtualSize,
        extents: [],
        ...(layout.logicalSectorSize === 4096 ? { isCopied: true as const } : {}),
      },
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
    let present = 0;
    await eachBlock(source, layout, () => {
      present += 1;
    });
    return { complete: true, allocated: Math.min(present * layout.blockSize, layout.virtualSize) };
  } catch (error) {
    return incomplete(error);
  }
}

/** Tells where each payload block that is there lies in the file. Throws for one that lies behind its end. */
async function eachBlock(
  source: ByteSource,
  layout: VhdxLayout,
  visit: (block: number, offset: number) => void,
): Promise<void> {
  const blocks = Math.ceil(layout.virtualSize / layout.blockSize);
  const chunkRatio = Math.floor((2 ** 23 * layout.logicalSectorSize) / layout.blockSize);
  const entries = blocks + Math.floor((blocks - 1) / chunkRatio);
  if (entries > 2 ** 24 || entries * 8 > layout.batSize)
    throw corrupt('the VHDX block table does not fit its size');
  await readTable(source, layout.batOffset, entries * 8, 'the VHDX block table', (chunk, start) => {
    for (let at = 0; at < chunk.length; at += 8) {
      const low = chunk.readUInt32LE(at);
      const index = (start + at) / 8;
      if ((index + 1) % (chunkRatio + 1) === 0 || (low & 7) < PRESENT) continue;
      // Bits 20 to 63: the offset in MiB.
      const offset = (chunk.readUInt32LE(at + 4) * 2 ** 12 + (low >>> 20)) * MIB;
      if (offset + layout.blockSize > source.size)
        throw truncated('a VHDX block lies beyond the end of the file');
      visit(index - Math.floor(index / (chunkRatio + 1)), offset);
    }
  });
}

/**
 * Reads the disk in a VHDX, what is there of it, in pieces of at most 1 MiB with their places. Rejects with
 * `fetch.truncated`, `fetch.corrupt`.
 */
export async function readVhdx(
  source: ByteSource,
  put: (bytes: Buffer, at: number) => Promise<void>,
): Promise<void> {
  const layout = await readLayout(source);
  const most = Math.floor(source.size / layout.blockSize);
  // A pair of numbers for each block: a table may have 16 million.
  const found: number[] = [];
  await eachBlock(source, layout, (block, offset) => {
    if (found.length / 2 >= most) throw corrupt('several VHDX blocks are at the same place in the file');
    found.push(block, offset);
  });
  for (let index = 0; index < found.length; index += 2) {
    const [block, offset] = [found[index]!, found[index + 1]!];
    const start = block * layout.blockSize;
    const length = Math.min(layout.blockSize, layout.virtualSize - start);
    for (let at = 0; at < length; at += MIB)
      await put(await source.read(offset + at, Math.min(MIB, length - at)), start + at);
  }
}
