import { corrupt, incomplete, readExact, readTable, truncated, u64le, unsupported } from './base/bytes.js';
import { TablePages } from './base/disk-map.js';
import {
  type ByteSource,
  type Completeness,
  type DiskFormat,
  type DiskMap,
  MAX_VIRTUAL_SIZE,
  SECTOR,
} from './base/format.js';
import { guid } from './base/guid.js';

/** VirtualBox's VDI 1.1 (VirtualBox's src/VBox/Storage/VDICore.h; little-endian). */
export const vdi: DiskFormat = {
  name: 'vdi',
  extensions: ['vdi'],
  driver: 'vdi',
  detect: async (head) =>
    head.length >= 72 && head.readUInt32LE(64) === SIGNATURE && head.toString('latin1', 0, 4) === '<<< ',
  parse: async (source) => {
    const header = await readHeader(source);
    const { type: variant, virtualSize, uuid, parentId } = header;
    const isDelta = variant === DELTA;
    return {
      image: {
        format: 'vdi',
        role: 'disk',
        variant,
        virtualSize,
        uuid,
        contentId: uuid,
        parent: isDelta ? { name: null, contentId: parentId, format: 'vdi' } : null,
        extents: [],
        ...(isDelta ? { isCopied: true as const } : {}),
      },
      check: (whole) => completeness(whole, header),
    };
  },
  map: async (source) => vdiMap(source, await readHeader(source)),
};

const SIGNATURE = 0xbeda_107f;
const DELTA = 'differencing';
const TYPES: Record<number, string> = { 1: 'dynamic', 2: 'fixed', 4: DELTA };
const BLOCK_SIZE = 1024 * 1024;
/** Entries from this value on stand for blocks without data: of zeros, */
const ZERO_BLOCK = 0xffff_fffe;
/** or as in the older state, if there is one. */
const FREE_BLOCK = 0xffff_ffff;

interface VdiHeader {
  type: string;
  mapOffset: number;
  dataOffset: number;
  sectorSize: number;
  virtualSize: number;
  uuid: string;
  /** The UUID of the disk that a differencing one was made on. */
  parentId: string;
  blockSize: number;
  blocks: number;
}

async function readHeader(source: ByteSource): Promise<VdiHeader> {
  const bytes = await readExact(source, 0, SECTOR, 'the VDI header');
  if (bytes.readUInt32LE(68) !== 0x0001_0001)
    throw unsupported('the VDI has another version than 1.1', 'Clone it with `VBoxManage clonemedium`.');
  const kind = bytes.readUInt32LE(76);
  const isLinked = bytes.subarray(424, 456).some((byte) => byte !== 0);
  const type = TYPES[kind];
  // An undo image (3), or links that its type has no use for.
  if (kind === 3 || (type !== undefined && type !== DELTA && isLinked))
    throw unsupported(
      'the VDI builds on another disk in a way that VirtualBox no longer writes',
      'Clone the VM’s current state with `VBoxManage clonemedium disk <uuid> new.vdi`, and drop the clone.',
    );
  if (type === undefined) throw corrupt('the VDI has an unknown image type');
  const header = {
    type,
    mapOffset: bytes.readUInt32LE(340),
    dataOffset: bytes.readUInt32LE(344),
    sectorSize: bytes.readUInt32LE(360),
    virtualSize: u64le(bytes, 368, 'the VDI’s size'),
    uuid: guid(bytes, 392),
    parentId: guid(bytes, 424),
    blockSize: bytes.readUInt32LE(376),
    blocks: bytes.readUInt32LE(384),
  };
  if (header.sectorSize !== SECTOR || header.blockSize !== BLOCK_SIZE || bytes.readUInt32LE(380) !== 0)
    throw unsupported(
      'the VDI has a block or sector size other than 1 MiB and 512 bytes',
      'Clone it with `VBoxManage clonemedium`.',
    );
  if (header.virtualSize === 0 || header.virtualSize > MAX_VIRTUAL_SIZE || header.virtualSize % SECTOR !== 0)
    throw corrupt('the VDI header declares an impossible disk size');
  if (header.blocks < Math.ceil(header.virtualSize / BLOCK_SIZE) || header.blocks > 2 ** 26)
    throw corrupt('the VDI’s block map does not fit its size');
  if (header.mapOffset % SECTOR !== 0 || header.dataOffset % SECTOR !== 0)
    throw corrupt('a VDI table is not aligned');
  return header;
}

/** Reads where the content is. Its methods reject with `fetch.truncated`, `fetch.corrupt`. */
function vdiMap(source: ByteSource, header: VdiHeader): DiskMap {
  const { virtualSize, mapOffset, dataOffset, blocks, type } = header;
  const map = new TablePages(source, { offset: mapOffset, length: blocks * 4, what: 'the VDI’s block map' });
  return {
    virtualSize,
    async runAt(at, limit) {
      const block = Math.floor(at / BLOCK_SIZE);
      const end = Math.min(limit, (block + 1) * BLOCK_SIZE);
      const entry = (await map.read(block * 4, 4)).readUInt32LE(0);
      if (entry === FREE_BLOCK) return { end, from: type === DELTA ? 'parent' : 'zeros' };
      if (entry === ZERO_BLOCK) return { end, from: 'zeros' };
      if (entry >= blocks) throw corrupt('the VDI’s block map points outside of the disk');
      return { end, from: dataOffset + entry * BLOCK_SIZE + at - block * BLOCK_SIZE };
    },
  };
}

async function completeness(source: ByteSource, header: VdiHeader): Promise<Completeness> {
  try {
    let used = 0;
    let last = -1;
    await readTable(source, header.mapOffset, header.blocks * 4, 'the VDI’s block map', (chunk) => {
      for (let at = 0; at < chunk.length; at += 4) {
        const block = chunk.readUInt32LE(at);
        if (block >= ZERO_BLOCK) continue;
        used += 1;
        last = Math.max(last, block);
      }
    });
    if (last >= header.blocks) throw corrupt('the VDI’s block map points outside of the disk');
    if (last >= 0 && header.dataOffset + (last + 1) * BLOCK_SIZE > source.size)
      throw truncated('a VDI block is beyond the end of the file');
    return { complete: true, allocated: Math.min(used * BLOCK_SIZE, header.virtualSize) };
  } catch (error) {
    return incomplete(error);
  }
}
