/**
 * Writes VHDX images after [MS-VHDX], independently of the parser: no tool here makes differencing ones.
 */

const MIB = 1024 * 1024;
const KIB = 1024;
const SECTOR = 512;

/** What a differencing image has of the disk: pieces of whole sectors with their places, or zeros over a block. */
export type VhdxPiece = { offset: number; content: Buffer } | { zeroBlock: number };

export interface VhdxOptions {
  size: number;
  pieces: readonly VhdxPiece[];
  blockSize?: number;
  /** DataWriteGuid, as 32 hexadecimal digits in the order in which a GUID is written. */
  id: string;
  parent?: { id: string; locator: Record<string, string> };
}

export function vhdxImage({ size, pieces, blockSize = 2 * MIB, id, parent }: VhdxOptions): Buffer {
  const blocks = Math.ceil(size / blockSize);
  const chunkRatio = (2 ** 23 * SECTOR) / blockSize;
  const chunks = Math.ceil(blocks / chunkRatio);
  const tableBytes = Math.ceil((chunks * (chunkRatio + 1) * 8) / MIB) * MIB;
  const table = Buffer.alloc(tableBytes);
  const tableAt = 3 * MIB;
  const payload: Buffer[] = [];
  let end = tableAt + tableBytes;
  const add = (bytes: Buffer): number => {
    payload.push(bytes);
    end += bytes.length;
    return (end - bytes.length) / MIB;
  };
  const entryOf = (block: number) => block + Math.floor(block / chunkRatio);
  const setEntry = (entry: number, state: number, mib = 0) =>
    table.writeBigUInt64LE((BigInt(mib) << 20n) | BigInt(state), entry * 8);
  const data = new Map<number, Buffer>();
  const bitmaps = new Map<number, Buffer>();
  for (const piece of pieces) {
    if ('zeroBlock' in piece) {
      setEntry(entryOf(piece.zeroBlock), 2);
      continue;
    }
    for (let at = 0; at < piece.content.length; at += SECTOR) {
      const place = piece.offset + at;
      const block = Math.floor(place / blockSize);
      if (!data.has(block)) data.set(block, Buffer.alloc(blockSize));
      piece.content.copy(data.get(block)!, place % blockSize, at, at + SECTOR);
      const chunk = Math.floor(block / chunkRatio);
      if (!bitmaps.has(chunk)) bitmaps.set(chunk, Buffer.alloc(MIB));
      const bit = ((block % chunkRatio) * blockSize) / SECTOR + (place % blockSize) / SECTOR;
      bitmaps.get(chunk)![bit >> 3]! |= 1 << (bit & 7);
    }
  }
  for (const [block, bytes] of data) setEntry(entryOf(block), parent === undefined ? 6 : 7, add(bytes));
  if (parent !== undefined)
    for (const [chunk, bytes] of bitmaps) setEntry(chunk * (chunkRatio + 1) + chunkRatio, 6, add(bytes));
  const head = Buffer.alloc(tableAt);
  head.write('vhdxfile', 0, 'latin1');
  for (const [index, at] of [64 * KIB, 128 * KIB].entries()) header(head, at, index + 1, id);
  for (const at of [192 * KIB, 256 * KIB]) {
    regions(head, at, [
      { id: REGION.bat, offset: tableAt, length: tableBytes },
      { id: REGION.metadata, offset: 2 * MIB, length: MIB },
    ]);
  }
  metadata(head.subarray(2 * MIB), { size, blockSize, parent });
  return Buffer.concat([head, table, ...payload]);
}

const REGION = { bat: '2dc27766f62342009d64115e9bfd4a08', metadata: '8b7ca20647904b9ab8fe575f050f886e' };
const ITEM = {
  fileParameters: 'caa16737fa364d43b3b633f0aa44e76b',
  virtualDiskSize: '2fa54224cd1b4876b2115dbed83bf4b8',
  virtualDiskId: 'beca12abb2e6452393efc309e000c746',
  logicalSectorSize: '8141bf1da96f4709ba47f233a8faab5f',
  physicalSectorSize: 'cda348c7445d44719cc9e9885251c556',
  parentLocator: 'a8d35f2db30b454dabf7d3d84834ab0c',
};

/** A GUID's bytes: the first three fields are little-endian. */
function guidBytes(text: string): Buffer {
  const bytes = Buffer.from(text.replace(/[{}-]/g, ''), 'hex');
  return Buffer.concat([
    bytes.subarray(0, 4).reverse(),
    bytes.subarray(4, 6).reverse(),
    bytes.subarray(6, 8).reverse(),
    bytes.subarray(8),
  ]);
}

function header(head: Buffer, at: number, sequence: number, id: string): void {
  const bytes = head.subarray(at, at + 4 * KIB);
  bytes.write('head', 0, 'latin1');
  bytes.writeBigUInt64LE(BigInt(sequence), 8);
  guidBytes('11111111222233334444555555555555').copy(bytes, 16);
  guidBytes(id).copy(bytes, 32);
  bytes.writeUInt16LE(1, 66);
  bytes.writeUInt32LE(MIB, 68);
  bytes.writeBigUInt64LE(BigInt(MIB), 72);
  bytes.writeUInt32LE(crc32c(bytes), 4);
}

function regions(
  head: Buffer,
  at: number,
  entries: readonly { id: string; offset: number; length: number }[],
): void {
  const bytes = head.subarray(at, at + 64 * KIB);
  bytes.write('regi', 0, 'latin1');
  bytes.writeUInt32LE(entries.length, 8);
  for (const [index, { id, offset, length }] of entries.entries()) {
    const entry = bytes.subarray(16 + index * 32);
    guidBytes(id).copy(entry, 0);
    entry.writeBigUInt64LE(BigInt(offset), 16);
    entry.writeUInt32LE(length, 24);
    entry.writeUInt32LE(1, 28);
  }
  bytes.writeUInt32LE(crc32c(bytes), 4);
}

function metadata(
  bytes: Buffer,
  { size, blockSize, parent }: { size: number; blockSize: number; parent: VhdxOptions['parent'] | undefined },
): void {
  const u32 = (value: number) => {
    const word = Buffer.alloc(4);
    word.writeUInt32LE(value);
    return word;
  };
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(size));
  const items: [string, Buffer][] = [
    [ITEM.fileParameters, Buffer.concat([u32(blockSize), u32(parent === undefined ? 0 : 2)])],
    [ITEM.virtualDiskSize, length],
    [ITEM.virtualDiskId, guidBytes('99999999222233334444555555555555')],
    [ITEM.logicalSectorSize, u32(SECTOR)],
    [ITEM.physicalSectorSize, u32(4096)],
  ];
  if (parent !== undefined) items.push([ITEM.parentLocator, locator(parent)]);
  bytes.write('metadata', 0, 'latin1');
  bytes.writeUInt16LE(items.length, 10);
  let offset = 64 * KIB;
  for (const [index, [id, content]] of items.entries()) {
    const entry = bytes.subarray(32 + index * 32);
    guidBytes(id).copy(entry, 0);
    entry.writeUInt32LE(offset, 16);
    entry.writeUInt32LE(content.length, 20);
    entry.writeUInt32LE(4, 24);
    content.copy(bytes, offset);
    offset += content.length;
  }
}

function locator({ id, locator: paths }: NonNullable<VhdxOptions['parent']>): Buffer {
  const dashed = id.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '{$1-$2-$3-$4-$5}');
  const entries = Object.entries({ parent_linkage: dashed, ...paths });
  const head = Buffer.alloc(20 + entries.length * 12);
  guidBytes('b04aefb7d19e4a81b78925b8e9445913').copy(head, 0);
  head.writeUInt16LE(entries.length, 18);
  const texts: Buffer[] = [];
  let at = head.length;
  for (const [index, pair] of entries.entries()) {
    for (const [part, text] of pair.entries()) {
      const bytes = Buffer.from(text, 'utf16le');
      head.writeUInt32LE(at, 20 + index * 12 + part * 4);
      head.writeUInt16LE(bytes.length, 28 + index * 12 + part * 2);
      texts.push(bytes);
      at += bytes.length;
    }
  }
  return Buffer.concat([head, ...texts]);
}

/** CRC-32C (Castagnoli) over the structure with its checksum, at byte 4, still zero. */
function crc32c(bytes: Buffer): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f6_3b78 : 0);
  }
  return ~crc >>> 0;
}
