import {
  BASE_BLOCK_BYTES,
  type BaseBlock,
  checkExtent,
  closeBaseBlock,
  isDirty,
  PAGE_BYTES,
  readBaseBlock,
} from './base-block.js';
import { openCells } from './cells.js';
import { dirtyHive } from './errors.js';
import { type LogEntry, logEntries } from './log-entries.js';
import { dirtyPages, type LogPage } from './log-pages.js';

/** How a hive's bytes came about. */
export interface RecoveredHive {
  /** A hive whose last write is finished: as it was, or with what its logs add. */
  bytes: Buffer;
  /** What the logs did; null where the hive was clean: then its logs are of no account. */
  recovered: { log: 'dirty pages' | 'entries'; pages: number; bytes: number } | null;
}

interface Log {
  bytes: Buffer;
  base: BaseBlock;
}

/**
 * The hive as Windows will see it at its next start: a hive whose two sequence numbers differ, or whose base
 * block's checksum is wrong, is completed from its logs. `logs` are the files `.LOG1` and `.LOG2`, and before
 * Vista `.LOG`, in that order; empty ones and those that are of an earlier write are passed over. The result
 * is marked clean, so that nobody replays the logs again.
 *
 * Throws `guest.hive-dirty` where no log completes it: what is missing is lost to everything but Windows on
 * its own machine. Throws `guest.hive-corrupt` for what is no hive, before or after.
 *
 * After Windows 8.1's rules for log entries and Windows 8's for dirty pages (the specification that hive.ts
 * names, "Dirty state of a hive" and "Multiple transaction log files").
 */
export function recoverHive(hive: Buffer, logs: readonly Buffer[]): RecoveredHive {
  const base = readBaseBlock(hive);
  if (!isDirty(base)) {
    checkExtent(hive, base);
    return { bytes: hive, recovered: null };
  }
  const usable = logs.flatMap((bytes) => usableLog(bytes));
  const [first] = usable;
  if (first === undefined) throw dirtyHive('it has no log that can be used');
  const replay = usable.some(({ base: { fileType } }) => fileType === ENTRIES)
    ? replayEntries(base, usable)
    : replayPages(base, usable);
  return applyReplay(hive, base, logs, replay);
}

/** File types of base blocks: logs of dirty pages (of Windows 2000 and later), log of entries. */
const DIRTY_PAGES = [1, 2];
const ENTRIES = 6;

function usableLog(bytes: Buffer): Log[] {
  if (bytes.length < 1024 || bytes.toString('latin1', 0, 4) !== 'regf') return [];
  const base = readBaseBlock(bytes);
  const isLog = base.fileType === ENTRIES || DIRTY_PAGES.includes(base.fileType);
  return isLog && !isDirty(base) ? [{ bytes, base }] : [];
}

interface Replay {
  /** Its base block stands in for the hive's where that is damaged. */
  log: Log;
  kind: 'dirty pages' | 'entries';
  sequence: number;
  binsSize: number;
  /** Bit 0 of the base block's flags; null: stays. */
  flags: number | null;
  pages: LogPage[];
}

/**
 * The log of the last write: Windows 8 takes the later of two, and each holds all pages that did not get
 * into the hive. One from before the hive's last write is of no use, and one that was not written whole gives
 * way to the other.
 */
function replayPages(hive: BaseBlock, logs: readonly Log[]): Replay {
  const candidates = logs
    .filter(({ base }) => DIRTY_PAGES.includes(base.fileType))
    .filter(({ base }) => !hive.isValid || base.lastWritten >= hive.lastWritten)
    .sort((a, b) => Number(b.base.lastWritten - a.base.lastWritten))
    .map((log) => ({ log, pages: dirtyPages(log.bytes, log.base) }));
  if (candidates.length === 0) throw dirtyHive('its logs are of an earlier write');
  const [whole] = candidates.filter(({ pages }) => pages !== null);
  if (whole === undefined || whole.pages === null) throw dirtyHive('its log is cut off');
  const { log, pages } = whole;
  const { sequence, binsSize } = log.base;
  const last = hive.isValid ? hive.sequence[0] : sequence[0];
  return { log, kind: 'dirty pages', sequence: last, binsSize, flags: null, pages };
}

/**
 * The entries of both logs, which Windows fills in turns: the one that begins earlier first, then the other
 * where it goes on with the next number. Where the hive's own base block is damaged, only the later log.
 */
function replayEntries(hive: BaseBlock, all: readonly Log[]): Replay {
  const logs = all
    .filter(({ base }) => base.fileType === ENTRIES)
    .filter(({ base }) => !hive.isValid || isAtLeast(base.sequence[0], hive.sequence[1]))
    .sort((a, b) => (isAtLeast(a.base.sequence[0], b.base.sequence[0]) ? 1 : -1));
  const used = hive.isValid ? logs : logs.slice(-1);
  const entries: LogEntry[] = [];
  for (const { bytes, base } of used) {
    const last = entries.at(-1);
    if (last !== undefined && base.sequence[0] !== (last.sequence + 1) >>> 0) break;
    entries.push(...logEntries(bytes, base.sequence[0]));
    if (entries.length === 0) break;
  }
  const [log, last] = [used.at(-1), entries.at(-1)];
  if (log === undefined || last === undefined) throw dirtyHive('its logs are of an earlier write');
  const { sequence, binsSize, flags } = last;
  return { log, kind: 'entries', sequence, binsSize, flags, pages: entries.flatMap(({ pages }) => pages) };
}

/** Sequence numbers are 32 bits, and begin again. */
const isAtLeast = (a: number, b: number): boolean => ((a - b) | 0) >= 0;

function applyReplay(hive: Buffer, base: BaseBlock, logs: readonly Buffer[], replay: Replay): RecoveredHive {
  const { log, binsSize, pages } = replay;
  // A hive grows by what is in its logs.
  const limit = hive.length + logs.reduce((sum, { length }) => sum + length, 0);
  if (binsSize % PAGE_BYTES !== 0 || BASE_BLOCK_BYTES + binsSize > limit)
    throw dirtyHive('its log gives it an impossible size');
  const bytes = Buffer.alloc(Math.max(hive.length, BASE_BLOCK_BYTES + binsSize));
  hive.copy(bytes);
  if (!base.isValid) log.bytes.copy(bytes, 0, 0, 512);
  let changed = 0;
  for (const page of pages) {
    if (page.offset + page.bytes.length > bytes.length - BASE_BLOCK_BYTES)
      throw dirtyHive('its log writes behind its end');
    changed += page.bytes.copy(bytes, BASE_BLOCK_BYTES + page.offset);
  }
  bytes.writeUInt32LE(0, FILE_TYPE_AT);
  bytes.writeUInt32LE(binsSize, BINS_SIZE_AT);
  if (replay.flags !== null)
    bytes.writeUInt32LE(((bytes.readUInt32LE(FLAGS_AT) & ~1) | replay.flags) >>> 0, FLAGS_AT);
  closeBaseBlock(bytes, replay.sequence);
  // A log that does not fit to its hive leaves bins that do not follow each other.
  openCells(bytes);
  return { bytes, recovered: { log: replay.kind, pages: pages.length, bytes: changed } };
}

const FILE_TYPE_AT = 28;
const BINS_SIZE_AT = 40;
const FLAGS_AT = 144;
