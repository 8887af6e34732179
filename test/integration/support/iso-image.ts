/** A record of a directory, as it stands in the image: sizes and extents are believed by whoever reads them. */
export interface IsoRecord {
  name: string;
  isDirectory?: boolean;
  /** Number of the sector, and bytes. */
  extent: number;
  size: number;
}

const SECTOR = 2048;
/** The first sector that is free for directories and content. */
export const FIRST_SECTOR = 18;

/**
 * An ISO 9660 image with these extents, by sector (ECMA-119): directories are made of records, so that they may say
 * anything.
 */
export function makeIso(root: { extent: number; size: number }, extents: Record<number, Buffer>): Buffer {
  const ends = Object.entries(extents).map(([sector, { length }]) => Number(sector) * SECTOR + length);
  const image = Buffer.alloc(Math.ceil(Math.max(...ends) / SECTOR) * SECTOR);
  const volume = image.subarray(16 * SECTOR, 17 * SECTOR);
  volume.write('\x01CD001\x01', 0, 'latin1');
  both(volume, 80, image.length / SECTOR);
  both16(volume, 120, 1);
  both16(volume, 124, 1);
  both16(volume, 128, SECTOR);
  record({ name: '\0', isDirectory: true, ...root }).copy(volume, 156);
  volume.writeUInt8(1, 881);
  image.write('\xffCD001\x01', 17 * SECTOR, 'latin1');
  for (const [sector, bytes] of Object.entries(extents)) bytes.copy(image, Number(sector) * SECTOR);
  return image;
}

/** A directory at `extent`: its records, after those of itself and of its parent. No record crosses a sector. */
export function isoDirectory(extent: number, records: readonly IsoRecord[], declaredSize?: number): Buffer {
  const all = (size: number) => [
    record({ name: '\0', isDirectory: true, extent, size }),
    record({ name: '\x01', isDirectory: true, extent, size }),
    ...records.map(record),
  ];
  const size = declaredSize ?? packed(all(0)).length;
  return packed(all(size));
}

function packed(records: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [];
  let used = 0;
  for (const bytes of records) {
    const free = SECTOR - (used % SECTOR);
    if (bytes.length > free) {
      parts.push(Buffer.alloc(free));
      used += free;
    }
    parts.push(bytes);
    used += bytes.length;
  }
  parts.push(Buffer.alloc((SECTOR - (used % SECTOR)) % SECTOR));
  return Buffer.concat(parts);
}

function record({ name, isDirectory = false, extent, size }: IsoRecord): Buffer {
  const length = 33 + name.length + ((name.length + 1) % 2);
  const bytes = Buffer.alloc(length);
  bytes.writeUInt8(length, 0);
  both(bytes, 2, extent);
  both(bytes, 10, size);
  bytes.set([126, 11, 27, 0, 0, 0, 0], 18);
  bytes.writeUInt8(isDirectory ? 2 : 0, 25);
  both16(bytes, 28, 1);
  bytes.writeUInt8(name.length, 32);
  bytes.write(name, 33, 'latin1');
  return bytes;
}

/** Numbers stand there in both orders of bytes. */
function both(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32LE(value, at);
  bytes.writeUInt32BE(value, at + 4);
}

function both16(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt16LE(value, at);
  bytes.writeUInt16BE(value, at + 2);
}
