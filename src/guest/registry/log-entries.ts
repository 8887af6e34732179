import { PAGE_BYTES } from './base-block.js';
import type { LogPage } from './log-pages.js';
import { marvin32 } from './marvin32.js';

/** One write to the hive that stands in a log of Windows 8.1 and later. */
export interface LogEntry {
  sequence: number;
  /** Bytes of the hive's bins once the entry is applied. */
  binsSize: number;
  /** Bit 0 of the base block's flags after it. */
  flags: number;
  pages: LogPage[];
}

const SECTOR = 512;
const HEADER_BYTES = 40;
const REFERENCE_BYTES = 8;

/**
 * Entries (`HvLE`) of a log, from the one with the number `sequence` on, up to the first that does not follow
 * or whose hashes are wrong: the log is written in circles, and what follows is older.
 */
export function logEntries(log: Buffer, sequence: number): LogEntry[] {
  const entries: LogEntry[] = [];
  let offset = SECTOR;
  for (;;) {
    const size = entrySize(log, offset);
    if (size === null) return entries;
    const entry = readEntry(log.subarray(offset, offset + size));
    if (entry === null || entry.sequence !== (sequence + entries.length) >>> 0) return entries;
    entries.push(entry);
    offset += size;
  }
}

function entrySize(log: Buffer, offset: number): number | null {
  if (offset + SECTOR > log.length || log.toString('latin1', offset, offset + 4) !== 'HvLE') return null;
  const size = log.readUInt32LE(offset + 4);
  return size < SECTOR || size % SECTOR !== 0 || offset + size > log.length ? null : size;
}

function readEntry(entry: Buffer): LogEntry | null {
  const binsSize = entry.readUInt32LE(16);
  const count = entry.readUInt32LE(20);
  if (binsSize === 0 || binsSize % PAGE_BYTES !== 0) return null;
  if (count === 0 || HEADER_BYTES + count * REFERENCE_BYTES > entry.length) return null;
  if (entry.readBigUInt64LE(32) !== marvin32(entry.subarray(0, 32))) return null;
  if (entry.readBigUInt64LE(24) !== marvin32(entry.subarray(HEADER_BYTES))) return null;
  const pages = readPages(entry, count, binsSize);
  if (pages === null) return null;
  return { sequence: entry.readUInt32LE(12), binsSize, flags: entry.readUInt32LE(8) & 1, pages };
}

function readPages(entry: Buffer, count: number, binsSize: number): LogPage[] | null {
  const pages: LogPage[] = [];
  let at = HEADER_BYTES + count * REFERENCE_BYTES;
  for (let index = 0; index < count; index += 1) {
    const offset = entry.readUInt32LE(HEADER_BYTES + index * REFERENCE_BYTES);
    const size = entry.readUInt32LE(HEADER_BYTES + index * REFERENCE_BYTES + 4);
    if (at + size > entry.length || offset + size > binsSize) return null;
    pages.push({ offset, bytes: entry.subarray(at, at + size) });
    at += size;
  }
  return pages;
}
