import { corrupt, readExact, u64be } from '../base/bytes.js';
import { type ByteSource, type DiskImage, SECTOR } from '../base/format.js';

/** The header of a dynamic or differencing VHD. Sizes and offsets in bytes. */
export interface VhdTables {
  tableOffset: number;
  /** Entries of the block table that the disk's size needs. */
  blocks: number;
  blockSize: number;
  /** Each block in the file begins with a bitmap of its sectors. */
  bitmapBytes: number;
  /** What a differencing disk was made on; without meaning for others. */
  parent: { name: string | null; contentId: string };
}

/** Rejects with `fetch.truncated`, `fetch.corrupt`. */
export async function readTables(
  source: ByteSource,
  footer: Buffer,
  { virtualSize }: Pick<DiskImage, 'virtualSize'>,
): Promise<VhdTables> {
  const header = await readExact(
    source,
    u64be(footer, 16, 'the VHD’s dynamic header'),
    1024,
    'the VHD’s dynamic header',
  );
  if (header.toString('latin1', 0, 8) !== 'cxsparse') throw corrupt('the VHD’s dynamic header is missing');
  const entries = header.readUInt32BE(28);
  const blockSize = header.readUInt32BE(32);
  if (blockSize < SECTOR || blockSize > 2 ** 28 || blockSize % SECTOR !== 0)
    throw corrupt('the VHD header declares an impossible block size');
  const blocks = Math.ceil(virtualSize / blockSize);
  if (blocks > entries || entries > 2 ** 22) throw corrupt('the VHD’s block table does not fit its size');
  return {
    tableOffset: u64be(header, 16, 'the VHD’s block table'),
    blocks,
    blockSize,
    bitmapBytes: Math.ceil(blockSize / SECTOR / 8 / SECTOR) * SECTOR,
    parent: { name: parentName(header), contentId: header.toString('hex', 40, 56) },
  };
}

/** Its name or its path on the old machine, in UTF-16 with the high byte first. */
function parentName(header: Buffer): string | null {
  const text = Buffer.from(header.subarray(64, 576)).swap16().toString('utf16le');
  const name = text.split('\0', 1)[0]!;
  return name === '' ? null : name;
}
