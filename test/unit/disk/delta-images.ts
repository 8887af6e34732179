/** Makes differencing VHDs and VDIs, independently of the parsers: no tool here writes them. */

const SECTOR = 512;
const MIB = 1024 * 1024;

export interface Piece {
  offset: number;
  content: Buffer;
}

/** A differencing VHD (Microsoft's specification of 2006) with the given sectors. */
export function vhdDelta(
  size: number,
  pieces: readonly Piece[],
  parent: { id: Buffer; name: string },
  id: Buffer,
): Buffer {
  const blockSize = 2 * MIB;
  const blocks = Math.ceil(size / blockSize);
  const table = Buffer.alloc(Math.ceil((blocks * 4) / SECTOR) * SECTOR, 0xff);
  const footer = Buffer.alloc(SECTOR);
  footer.write('conectix', 0, 'latin1');
  footer.writeUInt32BE(2, 8);
  footer.writeUInt32BE(0x0001_0000, 12);
  footer.writeBigUInt64BE(BigInt(SECTOR), 16);
  footer.write('win ', 28, 'latin1');
  footer.write('Wi2k', 36, 'latin1');
  footer.writeBigUInt64BE(BigInt(size), 40);
  footer.writeBigUInt64BE(BigInt(size), 48);
  footer.writeUInt32BE(4, 60);
  id.copy(footer, 68);
  checksum(footer, 64);
  const header = Buffer.alloc(1024);
  header.write('cxsparse', 0, 'latin1');
  header.fill(0xff, 8, 16);
  header.writeBigUInt64BE(BigInt(3 * SECTOR), 16);
  header.writeUInt32BE(0x0001_0000, 24);
  header.writeUInt32BE(blocks, 28);
  header.writeUInt32BE(blockSize, 32);
  parent.id.copy(header, 40);
  Buffer.from(parent.name, 'utf16le').swap16().copy(header, 64);
  checksum(header, 36);
  const found = new Map<number, { bitmap: Buffer; data: Buffer }>();
  for (const { offset, content } of pieces)
    for (let at = 0; at < content.length; at += SECTOR) {
      const block = Math.floor((offset + at) / blockSize);
      const known = found.get(block) ?? { bitmap: Buffer.alloc(SECTOR), data: Buffer.alloc(blockSize) };
      found.set(block, known);
      const inside = (offset + at) % blockSize;
      content.copy(known.data, inside, at, at + SECTOR);
      // The high bit of a byte is its first sector.
      known.bitmap[(inside / SECTOR) >> 3]! |= 0x80 >> ((inside / SECTOR) % 8);
    }
  const parts: Buffer[] = [footer, header, table];
  let sector = parts.reduce((sum, part) => sum + part.length, 0) / SECTOR;
  for (const [block, { bitmap, data }] of found) {
    table.writeUInt32BE(sector, block * 4);
    parts.push(bitmap, data);
    sector += 1 + blockSize / SECTOR;
  }
  return Buffer.concat([...parts, footer]);
}

/** The one's complement of the sum of all bytes, the field itself being zero. */
function checksum(bytes: Buffer, at: number): void {
  let sum = 0;
  for (const byte of bytes) sum += byte;
  bytes.writeUInt32BE(~sum >>> 0, at);
}

/**
 * Turns a dynamic VDI into a differencing one on the image with the UUID `parent`: what it has no block for is
 * then the older state's. `zeroBlocks` become blocks of zeros.
 */
export function vdiDelta(
  image: Buffer,
  { id, parent, zeroBlocks = [] }: { id: Buffer; parent: Buffer; zeroBlocks?: readonly number[] },
): Buffer {
  const bytes = Buffer.from(image);
  bytes.writeUInt32LE(4, 76);
  id.copy(bytes, 392);
  parent.copy(bytes, 424);
  const map = bytes.readUInt32LE(340);
  for (const block of zeroBlocks) bytes.writeUInt32LE(0xffff_fffe, map + block * 4);
  return bytes;
}
