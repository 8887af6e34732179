import { corrupt, readExact, truncated } from '../bytes.js';
import { type ByteSource, SECTOR } from '../format.js';

export interface TableLayout {
  /** Offset of the grain directory, bytes. Its entries and those of the tables are 32-bit sector numbers. */
  directory: number;
  directoryEntries: number;
  entriesPerTable: number;
  /** Bytes. */
  grainSize: number;
  /** Bytes of the disk. */
  capacity: number;
  /** Entries below this are not grains in the file (unallocated, zero grain). */
  firstGrainSector: number;
}
export interface TableScan {
  /** Number of grains with data. */
  grains: number;
  /** The one that lies last in the file: its offset and how many of its bytes the disk uses; null when there are none. */
  lastGrain: { offset: number; length: number } | null;
}

const CHUNK = 1024 * 1024;

/**
 * Walks the two levels of tables of a sparse extent. Rejects with `fetch.truncated` where a table lies beyond the end and with `fetch.corrupt`
 * where two directory entries share a table: so it never reads more than the file has. Holds one chunk (1 MiB) and the directory.
 */
export async function scanTables(source: ByteSource, layout: TableLayout): Promise<TableScan> {
  const directory = await readExact(
    source,
    layout.directory,
    layout.directoryEntries * 4,
    'the grain directory',
  );
  const tables: { sector: number; index: number }[] = [];
  for (let index = 0; index < layout.directoryEntries; index += 1) {
    const sector = directory.readUInt32LE(index * 4);
    if (sector !== 0) tables.push({ sector, index });
  }
  tables.sort((a, b) => a.sector - b.sector);
  const tableBytes = layout.entriesPerTable * 4;
  const tableSectors = Math.ceil(tableBytes / SECTOR);
  const scan: { grains: number; last: number; lastIndex: number } = { grains: 0, last: -1, lastIndex: 0 };
  let chunk: Buffer = Buffer.alloc(0);
  let chunkStart = 0;
  for (const [position, table] of tables.entries()) {
    const previous = tables[position - 1];
    if (previous !== undefined && table.sector < previous.sector + tableSectors)
      throw corrupt('two entries of the grain directory share a grain table');
    const offset = table.sector * SECTOR;
    if (offset + tableBytes > source.size) throw truncated('a grain table lies beyond the end of the file');
    if (offset < chunkStart || offset + tableBytes > chunkStart + chunk.length) {
      chunk = await source.read(offset, nextChunk(tables, position, tableBytes));
      chunkStart = offset;
      if (chunk.length < tableBytes) throw truncated('a grain table lies beyond the end of the file');
    }
    countGrains(
      chunk.subarray(offset - chunkStart, offset - chunkStart + tableBytes),
      table.index,
      layout,
      scan,
    );
  }
  if (scan.last < 0) return { grains: 0, lastGrain: null };
  const length = Math.min(layout.grainSize, layout.capacity - scan.lastIndex * layout.grainSize);
  return { grains: scan.grains, lastGrain: { offset: scan.last * SECTOR, length } };
}

/** Bytes worth reading at once: the run of tables that lie near each other, at most CHUNK. */
function nextChunk(tables: readonly { sector: number }[], from: number, tableBytes: number): number {
  const start = tables[from]!.sector * SECTOR;
  let end = start + tableBytes;
  for (let i = from + 1; i < tables.length; i += 1) {
    const next = tables[i]!.sector * SECTOR + tableBytes;
    if (next - start > CHUNK || next - end > 16 * tableBytes) break;
    end = next;
  }
  return end - start;
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
