import { type PeImage, readPe } from './image.js';

/**
 * The file version in a program's resources (`VS_FIXEDFILEINFO`), as `a.b.c.d`; null where it has none.
 * Throws `guest.pe-invalid` for what is no program.
 */
export function fileVersion(bytes: Buffer): string | null {
  const image = readPe(bytes);
  const base = image.resources === null ? null : offsetOf(image, image.resources.start);
  if (base === null) return null;
  try {
    return readVersion(bytes, image, base);
  } catch (error) {
    // A read behind the end: resources that lead out of the file are none.
    if (error instanceof RangeError) return null;
    throw error;
  }
}

const RT_VERSION = 16;
const SUBDIRECTORY = 0x8000_0000;
const FIXED_SIGNATURE = 0xfeef_04bd;
/** Behind lengths, type, the key `VS_VERSION_INFO` and padding. */
const FIXED_AT = 40;

/** Type, name and language are a directory each. */
function readVersion(bytes: Buffer, image: PeImage, base: number): string | null {
  const type = entry(bytes, base, (id) => id === RT_VERSION);
  const name = type === null ? null : subdirectory(bytes, base, type);
  const language = name === null ? null : subdirectory(bytes, base, name);
  if (language === null) return null;
  const at = offsetOf(image, bytes.readUInt32LE(base + language));
  if (at === null || bytes.readUInt32LE(at + FIXED_AT) !== FIXED_SIGNATURE) return null;
  const [high, low] = [bytes.readUInt32LE(at + FIXED_AT + 8), bytes.readUInt32LE(at + FIXED_AT + 12)];
  return [high >>> 16, high & 0xffff, low >>> 16, low & 0xffff].join('.');
}

/** Value of the first entry of the directory at `at` whose id is wanted. */
function entry(bytes: Buffer, at: number, isWanted: (id: number) => boolean): number | null {
  const count = bytes.readUInt16LE(at + 12) + bytes.readUInt16LE(at + 14);
  for (let index = 0; index < count; index += 1)
    if (isWanted(bytes.readUInt32LE(at + 16 + index * 8))) return bytes.readUInt32LE(at + 20 + index * 8);
  return null;
}

function subdirectory(bytes: Buffer, base: number, value: number): number | null {
  return value < SUBDIRECTORY ? null : entry(bytes, base + value - SUBDIRECTORY, () => true);
}

/** Place in the file of an address. */
function offsetOf({ sections }: PeImage, address: number): number | null {
  const section = sections.find(({ address: start, size }) => address >= start && address < start + size);
  return section === undefined ? null : section.offset + address - section.address;
}
