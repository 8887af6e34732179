import { SECTOR } from './base/format.js';

const GPT = Buffer.from('EFI PART');
const LARGE = 4096;

/** How much of a disk `sectorSize` looks at, in blocks of 4096 bytes. */
export const SECTOR_SIZE_BLOCKS = 2;

/**
 * Returns the size of the logical sectors that a disk's partition table counts in: GPT's header is in the
 * second sector (UEFI specification, 5.3). 512 for any other disk: an MBR does not say. Pure.
 */
export function sectorSize(head: Buffer): 512 | 4096 {
  const hasGptAt = (offset: number) => head.subarray(offset, offset + GPT.length).equals(GPT);
  return !hasGptAt(SECTOR) && hasGptAt(LARGE) ? LARGE : SECTOR;
}
