import type { Picture } from '../../families/base/boot-patterns.js';

/** QEMU's own pictures and those for other programs: netpbm's binary pixmaps, with a byte for each colour. */
const HEADER = /^P6\s+(\d{1,5})\s+(\d{1,5})\s+255\s/;
const MAX_HEADER_BYTES = 64;

/** Returns null for what is none, or not whole. */
export function parsePixmap(bytes: Buffer): Picture | null {
  const match = HEADER.exec(bytes.toString('latin1', 0, MAX_HEADER_BYTES));
  if (match === null) return null;
  const [width, height] = [Number(match[1]), Number(match[2])];
  const pixels = bytes.subarray(match[0].length);
  return pixels.length === width * height * 3 ? { width, height, pixels } : null;
}

export function pixmapBytes({ width, height, pixels }: Picture): Buffer {
  return Buffer.concat([Buffer.from(`P6\n${width} ${height}\n255\n`, 'latin1'), pixels]);
}
