import type { Config } from '../config/schema.js';

/**
 * Tables of VDI and VMDK for each byte of the disk: at most two grain tables with 4 bytes for each 64 KiB.
 */
const TABLES_PER_BYTE = 8 / (64 * 1024);
const HEADERS_BYTES = 1024 ** 2;

/**
 * Returns the largest number of bytes that a delivered disk can take: all of its data, as if none were zeros
 * or compressible, and the format's own tables. `usedBytes` is what the source holds of the `virtualSize`.
 * Pure.
 */
export function largestOutput(
  { virtualSize, usedBytes }: { virtualSize: number; usedBytes: number },
  options: Config['convert'],
): number {
  const { format, preallocation, sparse } = options;
  const isFull = !sparse || preallocation === 'falloc' || preallocation === 'full';
  const data = isFull ? virtualSize : Math.min(usedBytes, virtualSize);
  if (format === 'raw') return data;
  if (format !== 'qcow2') return Math.ceil(data + virtualSize * TABLES_PER_BYTE) + HEADERS_BYTES;
  const cluster = options.cluster_size_kib * 1024;
  const allTables = Math.ceil(virtualSize / ((cluster / 8) * cluster));
  const clusters = Math.ceil(data / cluster);
  const tables = preallocation === 'off' ? Math.min(allTables, clusters) : allTables;
  // L2 tables with 8 bytes per cluster, the L1 table over them, and 16-bit reference counts.
  return (
    data + (tables + 4) * cluster + allTables * 8 + Math.ceil(2 * (virtualSize / cluster)) + HEADERS_BYTES
  );
}
