import { corrupt } from '../base/bytes.js';

export const EXTENT_HEADER_BYTES = 512;
export const BLOCK = 4096;
export const CLUSTER = 16 * BLOCK;
const EXTENT_MAGIC = 'VMAE';
const FIRST_CLUSTER = 40;
const CLUSTERS = 59;

/** What an extent has of a cluster. */
export interface ClusterEntry {
  /** Of the disk. */
  id: number;
  number: number;
  /** Which of its 16 blocks are stored; the lowest bit is the first one. All others are zeros. */
  mask: number;
}

/** Returns what the extent with this header has. Throws `fetch.corrupt`. */
export function clusterEntries(header: Buffer): ClusterEntry[] {
  if (header.toString('latin1', 0, 4) !== EXTENT_MAGIC) throw corrupt('an extent of the VMA has no header');
  const entries: ClusterEntry[] = [];
  for (let at = FIRST_CLUSTER; at < FIRST_CLUSTER + CLUSTERS * 8; at += 8) {
    const id = header.readUInt8(at + 3);
    if (id !== 0) entries.push({ id, number: header.readUInt32BE(at + 4), mask: header.readUInt16BE(at) });
  }
  if (header.readUInt16BE(6) * BLOCK !== storedBytes(entries))
    throw corrupt('an extent of the VMA has another number of blocks than it says');
  return entries;
}

export function storedBytes(entries: readonly ClusterEntry[]): number {
  return entries.reduce((sum, { mask }) => sum + bits(mask) * BLOCK, 0);
}

function bits(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest >>= 1) count += rest & 1;
  return count;
}
