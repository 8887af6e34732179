import { corrupt, readExact, u64le, unsupported } from '../base/bytes.js';
import { type ByteSource, MAX_VIRTUAL_SIZE } from '../base/format.js';
import { guid } from '../base/guid.js';
import { readParent } from './parent.js';

/** What a VHDX declares about itself ([MS-VHDX]; little-endian). In bytes. */
export interface VhdxLayout {
  virtualSize: number;
  blockSize: number;
  logicalSectorSize: number;
  batOffset: number;
  batSize: number;
  /** DataWriteGuid: another one after each change of the disk's content. */
  contentId: string;
  /** Set for a differencing disk. */
  parent: { name: string | null; contentId: string } | null;
}

const KIB = 1024;
const HEADERS = [64 * KIB, 128 * KIB];
const REGION_TABLE = 192 * KIB;
const REGION = { bat: '2dc27766f62342009d64115e9bfd4a08', metadata: '8b7ca20647904b9ab8fe575f050f886e' };
const ITEM = {
  fileParameters: 'caa16737fa364d43b3b633f0aa44e76b',
  virtualDiskSize: '2fa54224cd1b4876b2115dbed83bf4b8',
  logicalSectorSize: '8141bf1da96f4709ba47f233a8faab5f',
  parentLocator: 'a8d35f2db30b454dabf7d3d84834ab0c',
};
const ZERO_GUID = '00000000000000000000000000000000';

/**
 * Rejects with `fetch.truncated`, `fetch.corrupt`, and `fetch.unsupported` for a log that must be replayed and
 * for a parent of another kind.
 */
export async function readLayout(source: ByteSource): Promise<VhdxLayout> {
  const contentId = await readContentId(source);
  const regions = await readRegions(source);
  const metadata = regions.get(REGION.metadata);
  const bat = regions.get(REGION.bat);
  if (metadata === undefined || bat === undefined)
    throw corrupt('the VHDX has no metadata or no block table');
  const items = await readItems(source, metadata);
  const item = async (id: string, length: number, what: string) => {
    const found = items.get(id);
    if (found === undefined || found.length < length) throw corrupt(`the VHDX has no ${what}`);
    return readExact(source, metadata.offset + found.offset, length, what);
  };
  const parameters = await item(ITEM.fileParameters, 8, 'file parameters');
  const hasParent = (parameters.readUInt32LE(4) & 2) !== 0;
  const layout = {
    blockSize: parameters.readUInt32LE(0),
    virtualSize: u64le(await item(ITEM.virtualDiskSize, 8, 'virtual size'), 0, 'the VHDX’s size'),
    logicalSectorSize: (await item(ITEM.logicalSectorSize, 4, 'logical sector size')).readUInt32LE(0),
    batOffset: bat.offset,
    batSize: bat.length,
    contentId,
    parent: hasParent ? await readParent(source, metadata.offset, items.get(ITEM.parentLocator)) : null,
  };
  const powerOfTwo = Math.log2(layout.blockSize) % 1 === 0;
  if (!powerOfTwo || layout.blockSize < 2 ** 20 || layout.blockSize > 2 ** 28)
    throw corrupt('the VHDX header declares an impossible block size');
  if (layout.logicalSectorSize !== 512 && layout.logicalSectorSize !== 4096)
    throw corrupt('the VHDX header declares an impossible sector size');
  if (layout.virtualSize === 0 || layout.virtualSize > MAX_VIRTUAL_SIZE || layout.virtualSize % 512 !== 0)
    throw corrupt('the VHDX header declares an impossible disk size');
  return layout;
}

/**
 * Reads the newest header. One with a log is refused: QEMU cannot replay it on a source that it may not write
 * to.
 */
async function readContentId(source: ByteSource): Promise<string> {
  let newest: { sequence: bigint; log: string; contentId: string } | null = null;
  for (const offset of HEADERS) {
    const header = await readExact(source, offset, 4 * KIB, 'a VHDX header');
    if (header.toString('latin1', 0, 4) !== 'head') continue;
    const sequence = header.readBigUInt64LE(8);
    if (newest === null || sequence > newest.sequence)
      newest = { sequence, log: header.toString('hex', 48, 64), contentId: guid(header, 32) };
  }
  if (newest === null) throw corrupt('the VHDX has no header');
  if (newest.log === ZERO_GUID) return newest.contentId;
  throw unsupported(
    'the VHDX was not closed cleanly: its log must be replayed first',
    'Shut the VM down, or mount and dismount the disk on Windows (Mount-VHD, Dismount-VHD), and copy it again.',
  );
}

async function readRegions(source: ByteSource): Promise<Map<string, { offset: number; length: number }>> {
  const table = await readExact(source, REGION_TABLE, 64 * KIB, 'the VHDX region table');
  const count = table.readUInt32LE(8);
  if (table.toString('latin1', 0, 4) !== 'regi' || count > 2047)
    throw corrupt('the VHDX region table is not valid');
  const regions = new Map<string, { offset: number; length: number }>();
  for (let i = 0; i < count; i += 1) {
    const at = 16 + i * 32;
    const id = guid(table, at);
    const known = id === REGION.bat || id === REGION.metadata;
    if (!known && (table.readUInt32LE(at + 28) & 1) !== 0)
      throw unsupported('the VHDX needs an unknown region', 'Convert it with Convert-VHD.');
    if (regions.has(id)) throw corrupt('the VHDX lists a region twice');
    regions.set(id, { offset: u64le(table, at + 16, 'a VHDX region'), length: table.readUInt32LE(at + 24) });
  }
  return regions;
}

async function readItems(
  source: ByteSource,
  metadata: { offset: number; length: number },
): Promise<Map<string, { offset: number; length: number }>> {
  const table = await readExact(source, metadata.offset, 64 * KIB, 'the VHDX metadata');
  const count = table.readUInt16LE(10);
  if (table.toString('latin1', 0, 8) !== 'metadata' || count > 2047)
    throw corrupt('the VHDX metadata table is not valid');
  const items = new Map<string, { offset: number; length: number }>();
  for (let i = 0; i < count; i += 1) {
    const at = 32 + i * 32;
    const [offset, length] = [table.readUInt32LE(at + 16), table.readUInt32LE(at + 20)];
    if (offset < 64 * KIB || offset + length > metadata.length) continue;
    items.set(guid(table, at), { offset, length });
  }
  return items;
}
