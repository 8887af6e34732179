import { sortNumbersInTurns, Turns } from '../../host/turns.js';
import { corrupt, Holes, readTable, truncated } from '../base/bytes.js';
import { type ByteSource, SECTOR } from '../base/format.js';

export interface TableLayout {
  /**
   * Offset of the grain directory in bytes. Its entries and those of the tables are 32-bit sector numbers.
   */
  directory: number;
  directoryEntries: number;
  entriesPerTable: number;
  /** Bytes. */
  grainSize: number;
  /** Bytes of the disk. */
  capacity: number;
  /** Entries below this are not grains in the file (unallocated, or a zero grain). */
  firstGrainSector: number;
}
export interface TableScan {
  /** Number of grains with data. */
  grains: number;
  /** The last grain in the file: its offset, and how many of its bytes the disk uses; null without any. */
  lastGrain: { offset: number; length: number } | null;
}

const CHUNK = 1024 * 1024;
/**
 * More entries than the directory of any real disk has: 2^21 tables of 512 grains of 64 KiB are 64 TiB. A
 * sector and an index together fit a double.
 */
export const MAX_DIRECTORY_ENTRIES = 2 ** 21;

/**
 * Walks the two levels of tables of a sparse extent. Rejects with `fetch.truncated` if a table is beyond the
 * end, and with `fetch.corrupt` if two directory entries share a table, so it never reads more than the file
 * has, and never its holes. Holds one chunk (1 MiB) and the directory in memory.
 */
export async function scanTables(source: ByteSource, layout: TableLayout): Promise<TableScan> {
  const tables = await tablesOf(source, layout);
  const sectorAt = (position: number) => Math.floor(tables[position]! / MAX_DIRECTORY_ENTRIES);
  const tableBytes = layout.entriesPerTable * 4;
  const tableSectors = Math.ceil(tableBytes / SECTOR);
  const scan: { grains: number; last: number; lastIndex: number } = { grains: 0, last: -1, lastIndex: 0 };
  const turns = new Turns();
  const holes = new Holes(source);
  let chunk: Buffer = Buffer.alloc(0);
  let chunkStart = 0;
  for (let position = 0; position < tables.length; position += 1) {
    if (turns.isOver()) await turns.next();
    const sector = sectorAt(position);
    if (position > 0 && sector < sectorAt(position - 1) + tableSectors)
      throw corrupt('two entries of the grain directory share a grain table');
    const offset = sector * SECTOR;
    if (offset + tableBytes > source.size) throw truncated('a grain table is beyond the end of the file');
    if (await holes.has(offset, tableBytes)) continue;
    if (offset < chunkStart || offset + tableBytes > chunkStart + chunk.length) {
      let end = offset + tableBytes;
      for (let next = position + 1; next < tables.length; next += 1) {
        const nextEnd = sectorAt(next) * SECTOR + tableBytes;
        // The run of adjacent tables that is worth one read.
        if (nextEnd - offset > CHUNK || nextEnd - end > 16 * tableBytes) break;
        end = nextEnd;
      }
      chunk = await source.read(offset, end - offset);
      chunkStart = offset;
      if (chunk.length < tableBytes) throw truncated('a grain table is beyond the end of the file');
    }
    const index = tables[position]! % MAX_DIRECTORY_ENTRIES;
    countGrains(chunk.subarray(offset - chunkStart, offset - chunkStart + tableBytes), index, layout, scan);
  }
  if (scan.last < 0) return { grains: 0, lastGrain: null };
  const length = Math.min(layout.grainSize, layout.capacity - scan.lastIndex * layout.grainSize);
  return { grains: scan.grains, lastGrain: { offset: scan.last * SECTOR, length } };
}

/**
 * Returns the positions of the tables in increasing order: sector times MAX_DIRECTORY_ENTRIES plus index in
 * the directory.
 */
async function tablesOf(
  source: ByteSource,
  { directory, directoryEntries }: TableLayout,
): Promise<Float64Array> {
  const tables = new Float64Array(directoryEntries);
  let count = 0;
  await readTable(source, directory, directoryEntries * 4, 'the grain directory', (chunk, start) => {
    for (let at = 0; at < chunk.length; at += 4) {
      const sector = chunk.readUInt32LE(at);
      if (sector === 0) continue;
      tables[count] = sector * MAX_DIRECTORY_ENTRIES + (start + at) / 4;
      count += 1;
    }
  });
  return sortNumbersInTurns(tables.subarray(0, count));
}

function countGrains(
  table: Buffer,
  tableIndex: number,
  layout: TableLayout,
  scan: { grains: number; last: number; lastIndex: number },
): void {
  const total = Math.ceil(layout.capacity / layout.grainSize);
  const first = tableIndex * layout.entriesPerTable;
  const count = Math.min(layout.entriesPerTable, total - first);
  for (let i = 0; i < count; i += 1) {
    const sector = table.readUInt32LE(i * 4);
    if (sector < layout.firstGrainSector) continue;
    scan.grains += 1;
    if (sector <= scan.last) continue;
    scan.last = sector;
    scan.lastIndex = first + i;
  }
}
