import { sortNumbersInTurns, Turns } from '../../host/turns.js';
import { corrupt, Holes, incomplete, readExact, readTable, truncated } from '../base/bytes.js';
import type { ByteSource, Completeness, DiskFormat, ParsedImage } from '../base/format.js';
import { parseQcow2Header, QCOW2_MAGIC, type Qcow2Header } from './header.js';

/** QEMU's own format, versions 2 and 3. */
export const qcow2: DiskFormat = {
  name: 'qcow2',
  extensions: ['qcow2', 'qcow'],
  driver: 'qcow2',
  detect: async (head) => head.subarray(0, 4).equals(QCOW2_MAGIC),
  parse,
};

async function parse(source: ByteSource): Promise<ParsedImage> {
  const header = await parseQcow2Header(source);
  return { image: imageOf(header), check: (whole) => completeness(whole, header) };
}

function imageOf(header: Qcow2Header): ParsedImage['image'] {
  return {
    format: 'qcow2',
    variant: `v${header.version}`,
    role: 'disk',
    virtualSize: header.virtualSize,
    contentId: null,
    parent:
      header.backingFile === null
        ? null
        : { name: header.backingFile, contentId: null, format: header.backingFormat },
    extents: [],
  };
}

/**
 * Checks that all tables and clusters of the active state are inside the file. Reads the L1 table and each of
 * its L2 tables once; those in holes are empty.
 */
async function completeness(source: ByteSource, header: Qcow2Header): Promise<Completeness> {
  try {
    const { refcountTableOffset, refcountTableSize, clusterSize } = header;
    if (refcountTableOffset + refcountTableSize > source.size)
      throw truncated('the refcount table is beyond the end of the file');
    const tables = await tableOffsets(source, header);
    const turns = new Turns();
    const holes = new Holes(source);
    let clusters = 0;
    for (let position = 0; position < tables.length; position += 1) {
      if (turns.isOver()) await turns.next();
      const offset = tables[position]!;
      if (offset % clusterSize !== 0) throw corrupt('an L2 table is not aligned to a cluster');
      if (tables[position - 1] === offset) throw corrupt('two L1 entries share an L2 table');
      if (await holes.has(offset, clusterSize)) continue;
      const table = await readExact(source, offset, clusterSize, 'an L2 table');
      clusters += countClusters(table, header, source.size);
    }
    return { complete: true, allocated: Math.min(clusters * clusterSize, header.virtualSize) };
  } catch (error) {
    return incomplete(error);
  }
}

/**
 * Returns the offsets of the L2 tables in increasing order. An L1 table may list four million; those after
 * the disk's end are irrelevant.
 */
async function tableOffsets(source: ByteSource, header: Qcow2Header): Promise<Float64Array> {
  const covered = header.clusterSize * (header.clusterSize / (header.extendedL2 ? 16 : 8));
  const entries = Math.min(header.l1Entries, Math.ceil(header.virtualSize / covered));
  if (header.l1Offset + header.l1Entries * 8 > source.size)
    throw truncated('the L1 table is beyond the end of the file');
  const offsets = new Float64Array(entries);
  let count = 0;
  await readTable(source, header.l1Offset, entries * 8, 'the L1 table', (chunk) => {
    for (let at = 0; at < chunk.length; at += 8) {
      const offset = entryOffset(chunk.readUInt32BE(at), chunk.readUInt32BE(at + 4));
      if (offset === 0) continue;
      offsets[count] = offset;
      count += 1;
    }
  });
  return sortNumbersInTurns(offsets.subarray(0, count));
}

/** Returns bits 9 to 55 of a table entry, which fit a double exactly. */
function entryOffset(high: number, low: number): number {
  return (high & 0x00ff_ffff) * 2 ** 32 + ((low & 0xffff_fe00) >>> 0);
}

function countClusters(table: Buffer, header: Qcow2Header, fileSize: number): number {
  const entrySize = header.extendedL2 ? 16 : 8;
  const clusterBits = Math.log2(header.clusterSize);
  let count = 0;
  for (let at = 0; at < table.length; at += entrySize) {
    const high = table.readUInt32BE(at);
    const low = table.readUInt32BE(at + 4);
    if ((high & 0x4000_0000) !== 0) {
      if (compressedLastSector(high, low, clusterBits) >= fileSize)
        throw truncated('a compressed cluster is beyond the end of the file');
      count += 1;
      continue;
    }
    const offset = entryOffset(high, low);
    if (offset === 0) continue;
    if (offset % header.clusterSize !== 0) throw corrupt('a cluster is not aligned');
    // Bit 0 of a v3 entry: it reads as zeros, so its preallocated cluster may be a hole at the end of the
    // file.
    const zero = header.version === 3 && !header.extendedL2 && (low & 1) === 1;
    if (zero) continue;
    if (offset >= fileSize) throw truncated('a cluster is beyond the end of the file');
    count += 1;
  }
  return count;
}

/**
 * Returns the offset of the last 512-byte sector that a compressed cluster occupies; at least its first byte
 * must exist.
 */
function compressedLastSector(high: number, low: number, clusterBits: number): number {
  const entry = (BigInt(high & 0x3fff_ffff) << 32n) | BigInt(low);
  const offsetBits = BigInt(62 - (clusterBits - 8));
  const offset = Number(entry & ((1n << offsetBits) - 1n));
  const additionalSectors = Number(entry >> offsetBits);
  return additionalSectors === 0 ? offset : offset - (offset % 512) + additionalSectors * 512;
}
