import { Turns } from '../../host/turns.js';
import {
  corrupt,
  Holes,
  incomplete,
  readExact,
  readTable,
  truncated,
  u64le,
  unsupported,
} from '../base/bytes.js';
import { type ByteSource, type Completeness, SECTOR } from '../base/format.js';

/**
 * The constant header of ESXi's seSparse extent (snapshot deltas since ESXi 6.5, `…-sesparse.vmdk`). VMware
 * does not document the format: this is what QEMU's block/vmdk.c reads, with the same strict checks.
 * Little-endian, offsets and sizes in sectors in the file, in bytes here.
 */
export interface SeSparseHeader {
  capacity: number;
  volatileHeader: number;
  directory: number;
  directorySize: number;
  tables: number;
  grains: number;
}

const MAGIC = 0xcafebaben;
const VOLATILE_MAGIC = 0xcafecafen;
const VERSION = 0x2_0000_0001n;
const GRAIN_BYTES = 8 * SECTOR;
const TABLE_BYTES = 64 * SECTOR;
const ENTRIES_PER_TABLE = TABLE_BYTES / 8;
/** Beyond twice the largest disk, a number is damage rather than a part of the file that is still to come. */
const MAX_GRAIN = 2 ** 35;
/** VMware's limit is a little less. It bounds the directory to 4 million entries. */
const MAX_CAPACITY = 64 * 2 ** 40;
const CLONE =
  'Consolidate the snapshots, or clone the disk on the ESXi host with `vmkfstools -i disk.vmdk new.vmdk -d thin`, and drop the clone.';

export function isSeSparse(head: Buffer): boolean {
  return head.length >= 16 && head.readBigUInt64LE(0) === MAGIC && head.readUInt32LE(12) === 2;
}

/** Parses the first sector. Throws `fetch.corrupt` and `fetch.unsupported`. */
export function parseSeSparse(sector: Buffer): SeSparseHeader {
  if (sector.length < SECTOR || !isSeSparse(sector)) throw corrupt('no seSparse header');
  const plain = sector.readBigUInt64LE(8) === VERSION && sector.subarray(40, 80).every((byte) => byte === 0);
  const units = [sector.readBigUInt64LE(24), sector.readBigUInt64LE(32)];
  if (!plain || units[0] !== 8n || units[1] !== 64n || sector.subarray(208).some((byte) => byte !== 0))
    throw unsupported('the seSparse extent has a version, sizes or flags that QEMU does not read', CLONE);
  const capacity = sectors(sector, 16, 'the capacity');
  if (capacity === 0 || capacity > MAX_CAPACITY)
    throw corrupt('the seSparse header declares an impossible disk size');
  const header = {
    capacity,
    volatileHeader: sectors(sector, 80, 'the volatile header’s offset'),
    directory: sectors(sector, 128, 'the grain directory’s offset'),
    directorySize: sectors(sector, 136, 'the grain directory’s size'),
    tables: sectors(sector, 144, 'the grain tables’ offset'),
    grains: sectors(sector, 192, 'the grains’ offset'),
  };
  if ([header.volatileHeader, header.directory, header.tables, header.grains].includes(0))
    throw corrupt('the seSparse header puts a structure over itself');
  const entries = header.directorySize / 8;
  if (entries < directoryEntries(header) || entries > MAX_CAPACITY / (GRAIN_BYTES * ENTRIES_PER_TABLE) + 4096)
    throw corrupt('the seSparse header’s grain directory does not fit its size');
  return header;
}

function sectors(sector: Buffer, at: number, what: string): number {
  const bytes = u64le(sector, at, what) * SECTOR;
  if (!Number.isSafeInteger(bytes)) throw corrupt(`${what} is impossibly large`);
  return bytes;
}

/** How many entries the disk needs. */
function directoryEntries({ capacity }: Pick<SeSparseHeader, 'capacity'>): number {
  return Math.ceil(capacity / (GRAIN_BYTES * ENTRIES_PER_TABLE));
}

/**
 * Checks that all grain tables and grains are inside the file and that every entry is one that QEMU reads.
 * Reads the directory and every table once (8 bytes for each 4 KiB of changes), never the file's holes. Rejects
 * with `fetch.corrupt`, and with `fetch.unsupported` if a journal was not written back.
 */
export async function seSparseCompleteness(
  source: ByteSource,
  header: SeSparseHeader,
): Promise<Completeness> {
  try {
    await refuseJournal(source, header);
    const tables = await tablesOf(source, header);
    const holes = new Holes(source);
    const turns = new Turns();
    const scan: Scan = { grains: 0, last: -1, lastIndex: 0 };
    for (const [table, index] of tables.entries()) {
      if (turns.isOver()) await turns.next();
      if (index === UNUSED) continue;
      const offset = header.tables + table * TABLE_BYTES;
      if (offset + TABLE_BYTES > source.size) throw truncated('a grain table is beyond the end of the file');
      if (await holes.has(offset, TABLE_BYTES)) continue;
      scanTable(await readExact(source, offset, TABLE_BYTES, 'a grain table'), index, header, scan);
    }
    const end = Math.min(GRAIN_BYTES, header.capacity - scan.lastIndex * GRAIN_BYTES);
    if (scan.last >= 0 && header.grains + scan.last * GRAIN_BYTES + end > source.size)
      throw truncated('the last grain is beyond the end of the file');
    return { complete: true, allocated: scan.grains * GRAIN_BYTES };
  } catch (error) {
    return incomplete(error);
  }
}

async function refuseJournal(source: ByteSource, { volatileHeader }: SeSparseHeader): Promise<void> {
  const sector = await readExact(source, volatileHeader, SECTOR, 'the volatile header');
  if (sector.readBigUInt64LE(0) !== VOLATILE_MAGIC)
    throw corrupt('the seSparse extent has no volatile header');
  if (sector.readBigUInt64LE(24) !== 0n)
    throw unsupported(
      'the seSparse extent was not closed: its journal holds changes that are not in its tables yet',
      `It was copied while the VM ran, or the host failed. Shut the VM down and copy the disk again. ${CLONE}`,
    );
  if (sector.subarray(32).some((byte) => byte !== 0))
    throw unsupported('the seSparse extent’s volatile header has fields that QEMU does not read', CLONE);
}

/** No entry of the directory leads to the table. */
const UNUSED = 0xffff_ffff;
/** An entry's four highest bits. */
const TABLE_PRESENT = 0x1000_0000;
const UNALLOCATED = 0;
const UNMAPPED = 1;
const ZERO = 2;
const ALLOCATED = 3;

/** Returns for each table the directory entry that it belongs to. */
async function tablesOf(source: ByteSource, header: SeSparseHeader): Promise<Uint32Array> {
  const { directory, tables } = header;
  const entries = directoryEntries(header);
  // ESXi reserves room for every table of the disk, perhaps rounded up, and takes them in order.
  const known = new Uint32Array(entries + 4096).fill(UNUSED);
  await readTable(source, directory, entries * 8, 'the grain directory', (chunk, start) => {
    for (let at = 0; at < chunk.length; at += 8) {
      const [table, kind] = [chunk.readUInt32LE(at), chunk.readUInt32LE(at + 4)];
      if (table === 0 && kind === 0) continue;
      if (kind !== TABLE_PRESENT || table >= known.length)
        throw corrupt('an entry of the seSparse grain directory names no grain table');
      if (known[table] !== UNUSED) throw corrupt('two entries of the grain directory share a grain table');
      known[table] = (start + at) / 8;
    }
  });
  // QEMU keeps the sector of a table in 32 bits.
  const last = known.findLastIndex((index) => index !== UNUSED);
  if (last >= 0 && (tables + last * TABLE_BYTES) / SECTOR > 0xffff_ffff)
    throw unsupported('a grain table is beyond 2 TiB, where QEMU does not read it', CLONE);
  return known.subarray(0, last + 1);
}

interface Scan {
  /** Number of grains with data. */
  grains: number;
  /** The last grain in the file, and which one of the disk it is. */
  last: number;
  lastIndex: number;
}

function scanTable(table: Buffer, index: number, { capacity }: SeSparseHeader, scan: Scan): void {
  const first = index * ENTRIES_PER_TABLE;
  const count = Math.min(ENTRIES_PER_TABLE, Math.ceil(capacity / GRAIN_BYTES) - first);
  for (let i = 0; i < count; i += 1) {
    const low = table.readUInt32LE(i * 8);
    const high = table.readUInt32LE(i * 8 + 4);
    const kind = high >>> 28;
    if (kind === UNALLOCATED && low === 0 && high === 0) continue;
    if (kind === UNMAPPED || kind === ZERO) continue;
    // The number's lowest 12 bits are the entry's bits 48 to 59, its other bits the entry's lowest 48.
    const grain = (high & 0xffff) * 2 ** 44 + low * 2 ** 12 + ((high >>> 16) & 0xfff);
    if (kind !== ALLOCATED || grain > MAX_GRAIN)
      throw corrupt('a grain table has an entry that names no grain');
    scan.grains += 1;
    if (grain <= scan.last) continue;
    scan.last = grain;
    scan.lastIndex = first + i;
  }
}
