import { createHash } from 'node:crypto';
import { corrupt, u64be, unsupported } from '../base/bytes.js';
import { MAX_VIRTUAL_SIZE, SECTOR } from '../base/format.js';

/** A disk of a VMA, by the number that its clusters have. */
export interface VmaDevice {
  id: number;
  name: string;
  /** Bytes. */
  size: number;
}

export interface VmaHeader {
  /** In hexadecimal; every extent repeats it. */
  uuid: string;
  devices: VmaDevice[];
  /** The VM's configuration files. */
  files: { name: string; content: Buffer }[];
  /** Of a snapshot with memory: this device's clusters are not a disk's. */
  vmState: number | null;
}

export const VMA_MAGIC = 'VMA\0';
/** Without the texts behind it. */
const VMA_HEADER_BYTES = 12_288;
const MAX_HEADER_BYTES = 4 * 1024 * 1024;
const MD5 = { at: 32, length: 16 };
const ENTRIES = 256;
const CONFIG_NAMES = 2044;
const CONFIG_CONTENTS = CONFIG_NAMES + ENTRIES * 4;
const DEVICES = 4096;
const DEVICE_BYTES = 32;
const VM_STATE = 'vmstate';
const MAX_BYTES = 2 ** 47;

/**
 * Returns the length of the header, which begins with these bytes (at least 60). Throws `fetch.corrupt`,
 * `fetch.unsupported`.
 */
export function vmaHeaderLength(start: Buffer): number {
  if (start.toString('latin1', 0, 4) !== VMA_MAGIC) throw corrupt('the VMA has no header');
  if (start.readUInt32BE(4) !== 1) throw unsupported('the VMA is of an unknown version', EXTRACT);
  const length = start.readUInt32BE(56);
  if (length <= VMA_HEADER_BYTES || length > MAX_HEADER_BYTES)
    throw corrupt('the VMA header declares an impossible size');
  return length;
}

const EXTRACT = 'Take the disks out of it with `vma extract` on the Proxmox host, and drop them.';

/**
 * Parses the header of Proxmox' VMA ("Virtual Machine Archive format", vma_spec.txt of pve-qemu; big-endian). Throws
 * `fetch.corrupt`.
 */
export function parseVmaHeader(bytes: Buffer): VmaHeader {
  if (!hasMd5(bytes, MD5.at)) throw corrupt('the checksum of the VMA header is wrong');
  const textAt = (pointer: number) => blobIn(bytes, pointer);
  const nameAt = (pointer: number) => textAt(pointer)?.toString('utf8').replace(/\0+$/, '') ?? '';
  const devices: VmaDevice[] = [];
  let vmState: number | null = null;
  for (let id = 1; id < ENTRIES; id += 1) {
    const at = DEVICES + id * DEVICE_BYTES;
    const name = nameAt(bytes.readUInt32BE(at));
    const size = u64be(bytes, at + 8, 'a disk of the VMA');
    if (name === '' || size === 0) continue;
    if (name === VM_STATE) {
      vmState = id;
      continue;
    }
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name))
      throw corrupt('a disk of the VMA has an unusable name');
    if (size > MAX_VIRTUAL_SIZE || size % SECTOR !== 0)
      throw corrupt(`the VMA declares an impossible size for ${name}`);
    devices.push({ id, name, size });
  }
  if (devices.length === 0) throw corrupt('the VMA has no disk');
  // Clusters are numbered with 32 bits, and remembered while the archive is read.
  if (devices.reduce((sum, { size }) => sum + size, 0) > MAX_BYTES)
    throw corrupt('the VMA’s disks are larger than any real ones');
  if (new Set(devices.map(({ name }) => name)).size < devices.length)
    throw corrupt('the VMA has two disks of one name');
  const files: VmaHeader['files'] = [];
  for (let entry = 0; entry < ENTRIES; entry += 1) {
    const name = nameAt(bytes.readUInt32BE(CONFIG_NAMES + entry * 4));
    const content = textAt(bytes.readUInt32BE(CONFIG_CONTENTS + entry * 4));
    if (name !== '' && content !== null) files.push({ name, content });
  }
  return { uuid: bytes.toString('hex', 8, 24), devices, files, vmState };
}

/** Returns the text at a place of the buffer behind the header: its length (little-endian), then its bytes. */
function blobIn(bytes: Buffer, pointer: number): Buffer | null {
  const offset = bytes.readUInt32BE(48);
  const end = offset + bytes.readUInt32BE(52);
  if (offset < VMA_HEADER_BYTES || end > bytes.length)
    throw corrupt('the texts of the VMA are outside of its header');
  if (pointer === 0) return null;
  const at = offset + pointer;
  if (at + 2 > end || at + 2 + bytes.readUInt16LE(at) > end)
    throw corrupt('a text of the VMA is outside of its header');
  return bytes.subarray(at + 2, at + 2 + bytes.readUInt16LE(at));
}

/** True if the MD5 at that place is that of all bytes, with zeros in its own place. */
export function hasMd5(bytes: Buffer, at: number): boolean {
  const hash = createHash('md5');
  hash.update(bytes.subarray(0, at));
  hash.update(Buffer.alloc(MD5.length));
  hash.update(bytes.subarray(at + MD5.length));
  return hash.digest().equals(bytes.subarray(at, at + MD5.length));
}
