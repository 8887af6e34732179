import { marvin32 } from '../../../../src/guest/registry/marvin32.js';
import { baseBlock } from './make-hive.ts';

const PAGE = 4096;

/** Offsets of the pages of the bins that differ from one state of a hive to the next. */
function changedPages(before: Buffer, after: Buffer): number[] {
  const pages: number[] = [];
  for (let at = PAGE; at < after.length; at += PAGE)
    if (!before.subarray(at, at + PAGE).equals(after.subarray(at, at + PAGE))) pages.push(at - PAGE);
  return pages;
}

interface LogOptions {
  sequence: number;
  lastWritten?: bigint;
}

const header = (hive: Buffer, { sequence, lastWritten }: LogOptions, type: number): Buffer =>
  baseBlock(
    hive.readUInt32LE(40),
    hive.readUInt32LE(36),
    { sequence: [sequence, sequence], ...(lastWritten === undefined ? {} : { lastWritten }) },
    type,
  ).subarray(0, 512);

/** A log of Windows 8 and before: all pages from `before` to `after`. */
export function dirtyPagesLog(before: Buffer, after: Buffer, options: LogOptions): Buffer {
  const bins = after.length - PAGE;
  const pages = changedPages(before, after);
  const bitmap = Buffer.alloc(bins / PAGE);
  for (const page of pages) bitmap[page / PAGE] = 0xff;
  const vector = Buffer.alloc(Math.ceil((4 + bitmap.length) / 512) * 512);
  vector.write('DIRT');
  bitmap.copy(vector, 4);
  const content = pages.map((page) => after.subarray(PAGE + page, PAGE + page + PAGE));
  return Buffer.concat([header(after, options, 1), vector, ...content]);
}

/** A log of Windows 8.1 and later: one entry for each step from a state to the next. */
export function entriesLog(states: readonly Buffer[], options: LogOptions): Buffer {
  const entries = states
    .slice(1)
    .map((after, index) => entry(states[index]!, after, options.sequence + index));
  return Buffer.concat([header(states[0]!, options, 6), ...entries, Buffer.alloc(1024)]);
}

function entry(before: Buffer, after: Buffer, sequence: number): Buffer {
  const pages = changedPages(before, after);
  const size = Math.ceil((40 + pages.length * (8 + PAGE)) / 512) * 512;
  const bytes = Buffer.alloc(size);
  bytes.write('HvLE');
  bytes.writeUInt32LE(size, 4);
  bytes.writeUInt32LE(sequence, 12);
  bytes.writeUInt32LE(after.length - PAGE, 16);
  bytes.writeUInt32LE(pages.length, 20);
  for (const [index, page] of pages.entries()) {
    bytes.writeUInt32LE(page, 40 + index * 8);
    bytes.writeUInt32LE(PAGE, 44 + index * 8);
    after.copy(bytes, 40 + pages.length * 8 + index * PAGE, PAGE + page, PAGE + page + PAGE);
  }
  return sealEntry(bytes);
}

/** Writes the two hashes. */
export function sealEntry(bytes: Buffer): Buffer {
  bytes.writeBigUInt64LE(marvin32(bytes.subarray(40)), 24);
  bytes.writeBigUInt64LE(marvin32(bytes.subarray(0, 32)), 32);
  return bytes;
}
