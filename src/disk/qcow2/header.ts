import { printable } from '../../text/escape-terminal.js';
import { corrupt, readExact, truncated, u64be, unsupported } from '../base/bytes.js';
import { type ByteSource, MAX_VIRTUAL_SIZE } from '../base/format.js';

/** The header of a qcow2 image (QEMU's docs/interop/qcow2.txt; big-endian). Offsets and sizes in bytes. */
export interface Qcow2Header {
  version: 2 | 3;
  clusterSize: number;
  virtualSize: number;
  l1Offset: number;
  l1Entries: number;
  refcountTableOffset: number;
  refcountTableSize: number;
  /** 16-byte L2 entries with subclusters. */
  extendedL2: boolean;
  backingFile: string | null;
  backingFormat: string | null;
}

export const QCOW2_MAGIC = Buffer.from('QFI\xfb', 'latin1');
const INCOMPATIBLE = { dirty: 1n, corrupt: 2n, dataFile: 4n, compressionType: 8n, extendedL2: 16n };
const KNOWN_INCOMPATIBLE = Object.values(INCOMPATIBLE).reduce((all, bit) => all | bit, 0n);
const EXTENSION = { end: 0, backingFormat: 0xe2792aca, dataFile: 0x44415441, encryption: 0x0537be77 };
/** QEMU's own limit of the L1 table (QCOW_MAX_L1_SIZE). */
const MAX_L1_BYTES = 32 * 1024 * 1024;
const MAX_SNAPSHOTS = 65_536;
const MAX_NAME = 1023;

/** Rejects with `fetch.corrupt`, `fetch.truncated`, `fetch.unsupported`, `fetch.refused-reference`. */
export async function parseQcow2Header(source: ByteSource): Promise<Qcow2Header> {
  const head = await source.read(0, 112);
  if (head.length < 72) throw truncated('the qcow2 header has not arrived completely');
  if (!head.subarray(0, 4).equals(QCOW2_MAGIC)) throw corrupt('the file has no qcow2 header');
  const version = head.readUInt32BE(4);
  if (version !== 2 && version !== 3)
    throw unsupported(`qcow2 version ${version}`, 'Convert it with `qemu-img convert -O qcow2`.');
  const clusterBits = head.readUInt32BE(20);
  if (clusterBits < 9 || clusterBits > 21)
    throw corrupt('the qcow2 header declares an impossible cluster size');
  if (head.readUInt32BE(32) !== 0)
    throw unsupported('the qcow2 image is encrypted', 'Decrypt it: `qemu-img convert` with its secret.');
  const features = version === 3 ? readFeatures(head) : { headerLength: 72, incompatible: 0n };
  refuseFeatures(features.incompatible);
  const header: Qcow2Header = {
    version,
    clusterSize: 2 ** clusterBits,
    virtualSize: u64be(head, 24, 'the virtual size'),
    l1Entries: head.readUInt32BE(36),
    l1Offset: u64be(head, 40, 'the L1 table’s offset'),
    refcountTableOffset: u64be(head, 48, 'the refcount table’s offset'),
    refcountTableSize: head.readUInt32BE(56) * 2 ** clusterBits,
    extendedL2: (features.incompatible & INCOMPATIBLE.extendedL2) !== 0n,
    backingFile: null,
    backingFormat: null,
  };
  // QEMU's limit; it reads the snapshot table when it opens the image.
  if (head.readUInt32BE(60) > MAX_SNAPSHOTS)
    throw corrupt('the qcow2 image lists more than 65,536 snapshots');
  checkTables(header);
  const nameOffset = u64be(head, 8, 'the backing file’s name offset');
  const nameLength = head.readUInt32BE(16);
  if (nameOffset !== 0 && nameLength > 0) {
    if (nameLength > MAX_NAME || nameOffset + nameLength > header.clusterSize)
      throw corrupt('the backing file’s name is outside of the header');
    header.backingFile = (
      await readExact(source, nameOffset, nameLength, 'the backing file’s name')
    ).toString('utf8');
  }
  const end = nameOffset === 0 ? header.clusterSize : nameOffset;
  header.backingFormat = await readExtensions(source, features.headerLength, end);
  return header;
}

function readFeatures(head: Buffer): { headerLength: number; incompatible: bigint } {
  if (head.length < 104) throw truncated('the qcow2 header has not arrived completely');
  const headerLength = head.readUInt32BE(100);
  if (headerLength < 104 || headerLength > 65_536)
    throw corrupt('the qcow2 header declares an impossible length for itself');
  const refcountOrder = head.readUInt32BE(96);
  if (refcountOrder > 6) throw corrupt('the qcow2 header declares an impossible refcount width');
  return { headerLength, incompatible: head.readBigUInt64BE(72) };
}

function refuseFeatures(incompatible: bigint): void {
  if (incompatible & INCOMPATIBLE.dataFile) {
    throw unsupported(
      'the qcow2 image keeps its data in an external file',
      'Make a self-contained image with `qemu-img convert -O qcow2`, and drop that.',
    );
  }
  if (incompatible & INCOMPATIBLE.corrupt) throw corrupt('the qcow2 image is marked as corrupt');
  if (incompatible & ~KNOWN_INCOMPATIBLE) {
    throw unsupported(
      `the qcow2 image needs unknown features (${(incompatible & ~KNOWN_INCOMPATIBLE).toString(16)})`,
      'Make a plain image with a current `qemu-img convert -O qcow2`, and drop that.',
    );
  }
}

function checkTables(header: Qcow2Header): void {
  const { clusterSize, virtualSize, l1Entries, l1Offset, refcountTableOffset, refcountTableSize } = header;
  if (virtualSize === 0 || virtualSize > MAX_VIRTUAL_SIZE)
    throw corrupt('the qcow2 virtual size is zero or over 1 PiB');
  if (l1Entries * 8 > MAX_L1_BYTES) throw corrupt('the qcow2 L1 table is larger than 32 MiB');
  if (refcountTableSize > 8 * 1024 * 1024) throw corrupt('the qcow2 refcount table is larger than 8 MiB');
  if (l1Offset % clusterSize !== 0 || refcountTableOffset % clusterSize !== 0)
    throw corrupt('a qcow2 table is not aligned to a cluster');
  const covered = clusterSize * (clusterSize / (header.extendedL2 ? 16 : 8));
  if (l1Entries < Math.ceil(virtualSize / covered))
    throw corrupt('the qcow2 L1 table is too small for the virtual size');
}

/** Returns the text of the backing format extension; refuses extensions that name other files or keys. */
async function readExtensions(source: ByteSource, start: number, end: number): Promise<string | null> {
  let format: string | null = null;
  let offset = start;
  for (let count = 0; offset + 8 <= end && offset + 8 <= source.size; count += 1) {
    if (count > 64) throw corrupt('the qcow2 header has too many extensions');
    const head = await readExact(source, offset, 8, 'a header extension');
    const [type, length] = [head.readUInt32BE(0), head.readUInt32BE(4)];
    if (type === EXTENSION.end) break;
    if (offset + 8 + length > end) throw corrupt('a qcow2 header extension extends beyond the header');
    if (type === EXTENSION.dataFile) refuseFeatures(INCOMPATIBLE.dataFile);
    if (type === EXTENSION.encryption)
      throw unsupported('the qcow2 image is encrypted', 'Decrypt it: `qemu-img convert` with its secret.');
    if (type === EXTENSION.backingFormat) {
      if (length > 64) throw corrupt('the qcow2 backing format has a name of more than 64 bytes');
      format = (await readExact(source, offset + 8, length, 'the backing format')).toString('latin1');
      if (!/^[A-Za-z0-9_-]+$/.test(format))
        throw corrupt(`the qcow2 backing format “${printable(format)}” is not the name of a format`);
    }
    offset += 8 + Math.ceil(length / 8) * 8;
  }
  return format;
}
