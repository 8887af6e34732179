import { corrupt, incomplete, readTable, truncated, u64be } from '../base/bytes.js';
import {
  type ByteSource,
  type Completeness,
  type DiskFormat,
  type DiskImage,
  MAX_VIRTUAL_SIZE,
  type ParsedImage,
  SECTOR,
} from '../base/format.js';
import { readTables, type VhdTables } from './dynamic.js';
import { vhdMap } from './map.js';

/**
 * Microsoft's VHD ("Virtual Hard Disk Image Format Specification", 2006; big-endian). Its signature is the
 * footer in the last sector; dynamic and differencing disks have a copy of it in the first.
 */
export const vhd: DiskFormat = {
  name: 'vhd',
  extensions: ['vhd', 'vpc', 'avhd'],
  driver: 'vpc',
  // For some creators QEMU would derive the size from the CHS geometry, which is smaller than the disk that
  // Hyper-V and Azure show.
  driverOptions: { force_size_calc: 'current_size' },
  markAtEnd: true,
  detect: async (head, source) => isFooter(head.subarray(0, SECTOR)) || hasCookie(await lastSector(source)),
  parse,
  map: async (source) => {
    const { footer, image } = await readFooter(source);
    return vhdMap(source, image, image.variant === 'fixed' ? null : await readTables(source, footer, image));
  },
};

const COOKIE = 'conectix';
const TYPES: Record<number, 'fixed' | 'dynamic' | 'differencing'> = {
  2: 'fixed',
  3: 'dynamic',
  4: 'differencing',
};

function hasCookie(sector: Buffer): boolean {
  return sector.length === SECTOR && sector.toString('latin1', 0, 8) === COOKIE;
}

/** True if cookie, version and checksum are valid. */
function isFooter(sector: Buffer): boolean {
  if (!hasCookie(sector) || sector.readUInt32BE(12) !== 0x0001_0000) return false;
  let sum = 0;
  for (let i = 0; i < SECTOR; i += 1) if (i < 64 || i >= 68) sum += sector[i]!;
  return ~sum >>> 0 === sector.readUInt32BE(64);
}

async function lastSector(source: ByteSource): Promise<Buffer> {
  return source.read(Math.max(0, source.size - SECTOR), SECTOR);
}

async function readFooter(
  source: ByteSource,
): Promise<{ footer: Buffer; isAtEnd: boolean; image: DiskImage }> {
  const last = await lastSector(source);
  // The footer has arrived and is invalid, so waiting does not help.
  if (hasCookie(last) && !isFooter(last))
    throw corrupt('the checksum or version in the VHD’s footer is wrong');
  const isAtEnd = hasCookie(last);
  const footer = isAtEnd ? last : await source.read(0, SECTOR);
  if (!isFooter(footer)) throw truncated('the VHD footer has not arrived');
  const variant = TYPES[footer.readUInt32BE(60)];
  if (variant === undefined) throw corrupt('the VHD has an unknown disk type');
  const virtualSize = u64be(footer, 48, 'the VHD’s size');
  if (virtualSize === 0 || virtualSize > MAX_VIRTUAL_SIZE || virtualSize % SECTOR !== 0)
    throw corrupt('the VHD footer declares an impossible disk size');
  const base = { format: 'vhd', role: 'disk', parent: null, extents: [] } as const;
  const contentId = footer.toString('hex', 68, 84);
  return { footer, isAtEnd, image: { ...base, extents: [], variant, virtualSize, contentId } };
}

async function parse(source: ByteSource): Promise<ParsedImage> {
  const { footer, isAtEnd, image } = await readFooter(source);
  if (image.variant !== 'differencing')
    return { image, check: (whole) => completeness(whole, image, isAtEnd ? footer : null) };
  const { parent } = await readTables(source, footer, image);
  return {
    image: { ...image, parent: { ...parent, format: 'vhd' }, isCopied: true },
    check: (whole) => completeness(whole, image, isAtEnd ? footer : null),
  };
}

async function completeness(
  source: ByteSource,
  image: DiskImage,
  footer: Buffer | null,
): Promise<Completeness> {
  try {
    if (footer === null) throw truncated('the VHD footer has not arrived');
    if (image.variant === 'fixed') {
      if (source.size < image.virtualSize + SECTOR)
        throw truncated(`${image.virtualSize + SECTOR} bytes are needed, the file has ${source.size}`);
      return { complete: true, allocated: null };
    }
    const tables = await readTables(source, footer, image);
    return { complete: true, allocated: await allocatedBlocks(source, image, tables) };
  } catch (error) {
    return incomplete(error);
  }
}

/**
 * Walks the block allocation table; each block starts with a sector bitmap. Returns the bytes that the
 * allocated blocks hold.
 */
async function allocatedBlocks(
  source: ByteSource,
  { virtualSize }: DiskImage,
  { tableOffset, blocks: needed, blockSize, bitmapBytes }: VhdTables,
): Promise<number> {
  let blocks = 0;
  let last = -1;
  await readTable(source, tableOffset, needed * 4, 'the VHD’s block table', (chunk) => {
    for (let at = 0; at < chunk.length; at += 4) {
      const sector = chunk.readUInt32BE(at);
      if (sector === 0xffff_ffff) continue;
      blocks += 1;
      last = Math.max(last, sector);
    }
  });
  if (last >= 0 && last * SECTOR + bitmapBytes + blockSize > source.size)
    throw truncated('a VHD block is beyond the end of the file');
  return Math.min(blocks * blockSize, virtualSize);
}
