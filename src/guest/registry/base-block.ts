import { Hyper2kvmError } from '../../errors/error.js';
import { corruptHive } from './errors.js';

/**
 * The first 4096 bytes of a hive, and the first sector of its logs. Numbers are little-endian, as everywhere
 * in a hive.
 */
export interface BaseBlock {
  /** Raised before a write to the hive, and after it: they differ while one is under way. */
  sequence: readonly [primary: number, secondary: number];
  /** FILETIME. */
  lastWritten: bigint;
  minorVersion: number;
  /** 0: a hive; 1 and 2: a log of dirty pages (DIRT); 6: a log of entries (HvLE). */
  fileType: number;
  /** Offsets of cells count from the end of the base block. */
  rootCell: number;
  /** Bytes behind the base block that belong to the hive; more may follow. */
  binsSize: number;
  /** Logical sector of the disk, in bytes. */
  sectorSize: number;
  /** Whether the checksum is right. Where it is not, no other field can be relied on. */
  isValid: boolean;
}

export const BASE_BLOCK_BYTES = 4096;
/** A bin's and a page's unit. */
export const PAGE_BYTES = 4096;
/** Where a base block's checksum stands; it covers all that is before. */
const CHECKSUM_AT = 508;
/** Far more than real ones: SYSTEM has 8 to 16 MiB, SOFTWARE about 100. */
const MAX_HIVE_BYTES = 1024 ** 3;

/** Reads the base block that `bytes` begin with. Throws `guest.hive-corrupt` where there is none. */
export function readBaseBlock(bytes: Buffer): BaseBlock {
  if (bytes.length < 512 || bytes.toString('latin1', 0, 4) !== 'regf')
    throw corruptHive('it does not begin with "regf"');
  return {
    sequence: [bytes.readUInt32LE(4), bytes.readUInt32LE(8)],
    lastWritten: bytes.readBigUInt64LE(12),
    minorVersion: bytes.readUInt32LE(24),
    fileType: bytes.readUInt32LE(28),
    rootCell: bytes.readUInt32LE(36),
    binsSize: bytes.readUInt32LE(40),
    sectorSize: Math.max(1, bytes.readUInt32LE(44)) * 512,
    isValid: bytes.readUInt32LE(CHECKSUM_AT) === baseBlockChecksum(bytes),
  };
}

/** XOR of the first 127 words; 0 and -1 stand for themselves nowhere. */
function baseBlockChecksum(bytes: Buffer): number {
  let sum = 0;
  for (let offset = 0; offset < CHECKSUM_AT; offset += 4) sum ^= bytes.readInt32LE(offset);
  if (sum === -1) return 0xffff_fffe;
  return sum === 0 ? 1 : sum >>> 0;
}

/** Writes the sequence numbers and the checksum of a hive that is closed. */
export function closeBaseBlock(bytes: Buffer, sequence: number): void {
  bytes.writeUInt32LE(sequence, 4);
  bytes.writeUInt32LE(sequence, 8);
  bytes.writeUInt32LE(baseBlockChecksum(bytes), CHECKSUM_AT);
}

/** True where the last write to the hive was not finished: what is in its logs is not in it. */
export function isDirty({ sequence: [primary, secondary], isValid }: BaseBlock): boolean {
  return primary !== secondary || !isValid;
}

/**
 * Throws where the hive is of another version than 1.3 to 1.6 (NT 4 to 11), where the file ends before its
 * bins do, or where it is larger than any hive.
 */
export function checkExtent(bytes: Buffer, { minorVersion, binsSize, fileType }: BaseBlock): void {
  const major = bytes.readUInt32LE(20);
  if (major !== 1 || minorVersion < 3 || minorVersion > 6)
    throw new Hyper2kvmError(
      'guest.hive-unsupported',
      `the registry hive has version ${major}.${minorVersion}: 1.3 to 1.6 can be read`,
    );
  if (fileType !== 0) throw corruptHive('it is a transaction log');
  if (bytes.length > MAX_HIVE_BYTES) throw corruptHive('it is larger than any hive');
  if (binsSize === 0 || binsSize % PAGE_BYTES !== 0)
    throw corruptHive('its size is not a multiple of its pages');
  if (BASE_BLOCK_BYTES + binsSize > bytes.length) throw corruptHive('it is cut off');
}
