import { expect, it } from 'vitest';
import { SECTOR_SIZE_BLOCKS, sectorSize } from '../../../src/disk/sector-size.js';

/** The beginning of a disk with GPT headers at these places. */
function head(...offsets: number[]): Buffer {
  const bytes = Buffer.alloc(SECTOR_SIZE_BLOCKS * 4096);
  for (const offset of offsets) bytes.write('EFI PART', offset);
  return bytes;
}

it.each([
  [4096, [4096]],
  [512, [512]],
  // A table that was made anew with sectors of 512 bytes: the old one is left over.
  [512, [512, 4096]],
  [512, []],
])('is %s where a GPT is at %j', (expected, offsets) => {
  expect(sectorSize(head(...offsets))).toBe(expected);
});

it('is 512 of a disk that ends before', () => {
  expect(sectorSize(Buffer.alloc(512))).toBe(512);
});
