import { corrupt, incomplete, readExact, truncated, u64le, unsupported } from '../base/bytes.js';
import {
  type ByteSource,
  type Completeness,
  MAX_DESCRIPTOR,
  MAX_VIRTUAL_SIZE,
  SECTOR,
} from '../base/format.js';
import { MAX_DIRECTORY_ENTRIES, scanTables } from './tables.js';

/**
 * The header of a hosted sparse extent, which streamOptimized disks have too ("Virtual Disk Format 5.0",
 * section "Hosted Sparse Extents"; little-endian). Offsets and sizes in bytes.
 */
export interface SparseHeader {
  version: number;
  flags: number;
  capacity: number;
  grainSize: number;
  descriptorOffset: number;
  descriptorSize: number;
  entriesPerTable: number;
  redundantDirectory: number | null;
  /** Null if the header says that it is in the footer. */
  directory: number | null;
  /** Sectors of metadata before the first grain. */
  overhead: number;
  compressed: boolean;
}

export const SPARSE_MAGIC = Buffer.from('KDMV', 'latin1');
const FLAG_REDUNDANT_DIRECTORY = 1 << 1;
const FLAG_COMPRESSED = 1 << 16;
const FLAG_MARKERS = 1 << 17;
const GD_AT_END = 0xffff_ffff_ffff_ffffn;
const MARKER_END_OF_STREAM = 0;
const MARKER_FOOTER = 3;
/** QEMU reads a parent hint and the CIDs at this fixed offset, wherever the header puts the descriptor. */
export const QEMU_DESCRIPTOR_OFFSET = SECTOR;
export const QEMU_DESCRIPTOR_WINDOW = 20 * SECTOR;

/** Parses the `sector` with the magic. Throws `fetch.corrupt` and `fetch.unsupported`. */
export function parseSparseHeader(sector: Buffer): SparseHeader {
  if (sector.length < SECTOR || !sector.subarray(0, 4).equals(SPARSE_MAGIC))
    throw corrupt('the file has no sparse VMDK header');
  const version = sector.readUInt32LE(4);
  if (version < 1 || version > 3)
    throw unsupported(
      `the VMDK has version ${version}`,
      'Only versions 1 to 3 are known: export the disk again.',
    );
  const flags = sector.readUInt32LE(8);
  const compression = sector.readUInt16LE(77);
  if (compression > 1) throw unsupported(`the VMDK has compression ${compression}`, 'Export the disk again.');
  const compressed = compression === 1;
  if (compressed !== ((flags & FLAG_COMPRESSED) !== 0) || (compressed && (flags & FLAG_MARKERS) === 0))
    throw corrupt('the header’s flags contradict its compression');
  // Anything but 0x0a200d0a shows a transfer in text mode, which replaced line ends in the data as well.
  if (flags & 1 && sector.readUInt32BE(73) !== 0x0a200d0a)
    throw corrupt('line ends in the header were changed: the file was transferred in text mode');
  const sectors = (offset: number, what: string) => {
    const bytes = u64le(sector, offset, what) * SECTOR;
    if (!Number.isSafeInteger(bytes)) throw corrupt(`${what} is impossibly large`);
    return bytes;
  };
  const header = {
    version,
    flags,
    capacity: sectors(12, 'the capacity'),
    grainSize: sectors(20, 'the grain size'),
    descriptorOffset: sectors(28, 'the descriptor’s offset'),
    descriptorSize: sectors(36, 'the descriptor’s size'),
    entriesPerTable: sector.readUInt32LE(44),
    redundantDirectory:
      flags & FLAG_REDUNDANT_DIRECTORY ? sectors(48, 'the redundant grain directory’s offset') : null,
    directory: sector.readBigUInt64LE(56) === GD_AT_END ? null : sectors(56, 'the grain directory’s offset'),
    overhead: sectors(64, 'the overhead'),
    compressed,
  };
  // With a capacity of 0, QEMU would treat the embedded text as a descriptor of other files.
  if (header.capacity === 0 || header.capacity > MAX_VIRTUAL_SIZE)
    throw corrupt('the header’s capacity is zero or over 1 PiB');
  const grainSectors = header.grainSize / SECTOR;
  if (grainSectors < 1 || grainSectors > 0x20_0000 || !isPowerOfTwo(grainSectors))
    throw corrupt('the VMDK header declares an impossible grain size');
  if (header.entriesPerTable < 1 || header.entriesPerTable > 512)
    throw corrupt('the VMDK header declares an impossible grain table size');
  if (directoryEntries(header) > MAX_DIRECTORY_ENTRIES)
    throw corrupt('the grain directory is larger than any real one');
  if (header.descriptorSize > MAX_DESCRIPTOR) throw corrupt('the embedded descriptor is larger than 1 MiB');
  return header;
}

function isPowerOfTwo(value: number): boolean {
  return Math.log2(value) % 1 === 0;
}

function directoryEntries(header: SparseHeader): number {
  return Math.ceil(header.capacity / (header.grainSize * header.entriesPerTable));
}

/** Bytes at the end of a stream whose header says that the grain directory is at its end. */
export const STREAM_TAIL = 3 * SECTOR;

/** Returns the footer of such a stream from its last bytes; null if its markers are not there. */
export function streamFooter(tail: Buffer): Buffer | null {
  if (tail.length !== STREAM_TAIL) return null;
  const [marker, footer, end] = [0, 1, 2].map((i) => tail.subarray(i * SECTOR, (i + 1) * SECTOR)) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  const isMarker = (sector: Buffer, type: number) =>
    sector.readUInt32LE(8) === 0 && sector.readUInt32LE(12) === type;
  const isWhole =
    isMarker(marker, MARKER_FOOTER) && isMarker(end, MARKER_END_OF_STREAM) && end.readBigUInt64LE(0) === 0n;
  return isWhole ? footer : null;
}

/**
 * Returns the header that counts: the footer's if the first one says that the grain directory is at the end.
 * Rejects with `fetch.truncated` while the footer has not arrived.
 */
async function effectiveHeader(source: ByteSource, header: SparseHeader): Promise<SparseHeader> {
  if (header.directory !== null) return header;
  const tail = source.size - (source.size % SECTOR) - STREAM_TAIL;
  if (tail < SECTOR) throw truncated('the footer with the grain directory has not arrived');
  const footer = streamFooter(await readExact(source, tail, STREAM_TAIL, 'the footer'));
  if (footer === null) throw truncated('the stream’s footer and end marker have not arrived');
  const result = parseSparseHeader(footer);
  if (result.directory === null) throw corrupt('the footer does not say where the grain directory is');
  if (
    result.capacity !== header.capacity ||
    result.grainSize !== header.grainSize ||
    result.compressed !== header.compressed
  )
    throw corrupt('header and footer describe two different disks');
  return result;
}

/**
 * Checks that all grain tables and grains are inside the file. Reads the directory and every table once (4
 * bytes for each 64 KiB of the disk), and for a compressed disk the marker of the last grain. Of the
 * redundant directory only the position is checked.
 */
export async function sparseCompleteness(source: ByteSource, first: SparseHeader): Promise<Completeness> {
  try {
    const header = await effectiveHeader(source, first);
    const scan = await scanTables(source, {
      directory: header.directory ?? 0,
      directoryEntries: directoryEntries(header),
      entriesPerTable: header.entriesPerTable,
      grainSize: header.grainSize,
      capacity: header.capacity,
      // Entry 1 is a grain of zeros that occupies nothing.
      firstGrainSector: 2,
    });
    const { redundantDirectory } = header;
    if (redundantDirectory !== null && redundantDirectory + directoryEntries(header) * 4 > source.size)
      throw truncated('the redundant grain directory is beyond the end of the file');
    if (scan.lastGrain === null) return { complete: true, allocated: 0 };
    const { offset, length } = scan.lastGrain;
    if (!header.compressed) {
      if (offset + length > source.size) throw truncated('the last grain is beyond the end of the file');
    } else {
      const marker = await readExact(source, offset, 12, 'the last grain’s marker');
      const packed = marker.readUInt32LE(8);
      if (packed === 0 || packed > 2 * header.grainSize + 1024)
        throw corrupt('the last grain declares an impossible compressed size');
      if (offset + 12 + packed > source.size)
        throw truncated('the last compressed grain is beyond the end of the file');
    }
    return { complete: true, allocated: scan.grains * header.grainSize };
  } catch (error) {
    return incomplete(error);
  }
}
