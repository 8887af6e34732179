import type { BaseBlock } from './base-block.js';

/** What a log says stands at `offset` of the hive's bins. */
export interface LogPage {
  offset: number;
  bytes: Buffer;
}

const SECTOR = 512;

/**
 * Pages of a log of Windows 8 and before: behind its base block `DIRT` and a bitmap of the hive's pages of
 * 512 bytes, then those whose bit is set, one after the other. Null for a log that ends before its last page:
 * a crash while it was written.
 */
export function dirtyPages(log: Buffer, base: BaseBlock): LogPage[] | null {
  const bitmap = log.subarray(SECTOR + 4, SECTOR + 4 + Math.ceil(base.binsSize / SECTOR / 8));
  let at = Math.ceil((SECTOR + 4 + bitmap.length) / SECTOR) * SECTOR;
  if (log.toString('latin1', SECTOR, SECTOR + 4) !== 'DIRT' || at > log.length) return null;
  const pages: LogPage[] = [];
  for (const [index, bits] of bitmap.entries()) {
    for (let bit = 0; bit < 8; bit += 1) {
      if ((bits & (1 << bit)) === 0) continue;
      if (at + SECTOR > log.length) return null;
      pages.push({ offset: (index * 8 + bit) * SECTOR, bytes: log.subarray(at, at + SECTOR) });
      at += SECTOR;
    }
  }
  return pages;
}
