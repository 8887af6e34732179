import { badPe } from './errors.js';

/**
 * Headers of a Windows program or driver (Microsoft, "PE Format"): for which machine it is, where its
 * resources and signatures are. `readPe(bytes).machine` needs the first 4 KiB of the file only; the rest of
 * the functions of this folder need all of it.
 */
export interface PeImage {
  machine: 'x86' | 'amd64' | 'arm64' | 'other';
  /** Place of the checksum, 4 bytes: no part of what is signed. */
  checksumAt: number;
  /** Place of the directory entry of the signatures, 8 bytes; 0 where there is none. */
  certificatesAt: number;
  /** Where the signatures are in the file, and their bytes; null where it is not signed. */
  certificates: PeRange | null;
  /** Addresses in memory of the resources; null where it has none. */
  resources: PeRange | null;
  sections: { address: number; offset: number; size: number }[];
}

interface PeRange {
  start: number;
  size: number;
}

const MACHINES: Record<number, PeImage['machine']> = { 332: 'x86', 34404: 'amd64', 43620: 'arm64' };
/** `PE` and two zeros. */
const PE_SIGNATURE = 0x4550;
const SECTION_HEADER_BYTES = 40;
const MAX_SECTIONS = 96;
/** Entries of the data directory. */
const RESOURCES = 2;
const CERTIFICATES = 4;

/** Whether the file is a program, a driver or a library of Windows, by its content. */
export function isPe(head: Buffer): boolean {
  if (head.length < 0x40 || head.toString('latin1', 0, 2) !== 'MZ') return false;
  const signature = head.readUInt32LE(0x3c);
  return signature + 4 <= head.length && head.readUInt32LE(signature) === PE_SIGNATURE;
}

/** Throws `guest.pe-invalid`. */
export function readPe(head: Buffer): PeImage {
  try {
    return parseHeaders(head);
  } catch (error) {
    // A read behind the end.
    if (error instanceof RangeError) throw badPe('its headers are cut off');
    throw error;
  }
}

function parseHeaders(head: Buffer): PeImage {
  if (!isPe(head)) throw badPe('it is not a PE file');
  const coff = head.readUInt32LE(0x3c) + 4;
  const optional = coff + 20;
  const magic = head.readUInt16LE(optional);
  if (magic !== 0x10b && magic !== 0x20b) throw badPe('it is not a PE file');
  const directories = optional + (magic === 0x20b ? 112 : 96);
  const optionalEnd = optional + head.readUInt16LE(coff + 16);
  const count = head.readUInt32LE(directories - 4);
  const entryAt = (index: number): number => {
    const at = directories + index * 8;
    return index < count && at + 8 <= optionalEnd ? at : 0;
  };
  return {
    machine: MACHINES[head.readUInt16LE(coff)] ?? 'other',
    checksumAt: optional + 64,
    certificatesAt: entryAt(CERTIFICATES),
    certificates: rangeAt(head, entryAt(CERTIFICATES)),
    resources: rangeAt(head, entryAt(RESOURCES)),
    sections: readSections(head, optionalEnd, head.readUInt16LE(coff + 2)),
  };
}

function rangeAt(head: Buffer, at: number): PeRange | null {
  if (at === 0) return null;
  const [start, size] = [head.readUInt32LE(at), head.readUInt32LE(at + 4)];
  return start === 0 || size === 0 ? null : { start, size };
}

function readSections(head: Buffer, start: number, count: number): PeImage['sections'] {
  if (count > MAX_SECTIONS) throw badPe('it has too many sections');
  return Array.from({ length: count }, (_, index) => {
    const at = start + index * SECTION_HEADER_BYTES;
    return {
      address: head.readUInt32LE(at + 12),
      size: head.readUInt32LE(at + 16),
      offset: head.readUInt32LE(at + 20),
    };
  });
}
