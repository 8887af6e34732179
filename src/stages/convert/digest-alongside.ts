import { freemem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Follow } from '../../files/digest.js';
import { forgetPages } from '../../files/page-cache.js';
import type { DropPlace } from '../../model/drop.js';
import type { SourceFile } from '../../model/report.js';
import { digestSource } from '../../sources/local/digest-source.js';
import { listSource } from '../../sources/local/list-source.js';
import type { WarmRecord } from '../warm/base-copy.js';

/** Where the conversion is. */
export interface ConversionPlace {
  /** The part of all disks that is converted, 0 to 1. */
  fraction(): number;
  /** Bytes that it has read; 0 if that is not known. */
  read(): number;
}

interface AlongsideOptions {
  signal: AbortSignal;
  /** Gets the bytes that were not in the page cache. */
  onDeviceRead?(bytes: number): void;
  warm?: Pick<WarmRecord, 'digests'> | null;
}

/**
 * How far the digest may be ahead of the conversion. Little, because a busy host's page cache soon loses what
 * was read once.
 */
const AHEAD_BYTES = 16 * 1024 * 1024;
/** How far a byte is behind both when neither needs it any more: the conversion reads several places at once. */
const BEHIND_BYTES = 256 * 1024 * 1024;
/** A larger part of the free memory than this is taken from others, of which the new disk is one. */
const LARGE_PART = 1 / 8;
const POLL_MILLISECONDS = 20;
const LEAST_BYTES = 4 * 1024 * 1024;

/**
 * Returns size and digest of every file of the drop. It reads them at the conversion's pace, so that of the
 * two readers the second finds the bytes in the page cache and the disk is read once. A large drop leaves the
 * cache behind them: what is read twice would otherwise stay there longer than the new disk, which is only
 * written so far and will be read again. Files of the base in `warm`, which are unchanged, are not read again.
 */
export async function digestAlongside(
  source: DropPlace,
  conversion: ConversionPlace,
  { warm, ...options }: AlongsideOptions,
): Promise<SourceFile[]> {
  const known = new Map(warm?.digests.map((file) => [file.path, file]));
  const files = await listSource(source.directory, source.entries);
  const total = files.filter(({ path }) => !known.has(path)).reduce((sum, { size }) => sum + size, 0);
  const isLarge = total > freemem() * LARGE_PART;
  /** How many bytes the digest may read beyond the first `done`; it counts what it reads, as the conversion does. */
  const allowed = (done: number) =>
    conversion.fraction() >= 1
      ? total
      : (conversion.read() || total * conversion.fraction()) + AHEAD_BYTES - done;
  let before = 0;
  const along = (): Follow => {
    const start = before;
    let forgotten = 0;
    return async ({ at, read, file }) => {
      before = start + read;
      while (allowed(before) < Math.min(LEAST_BYTES, total))
        await sleep(POLL_MILLISECONDS, undefined, { signal: options.signal });
      const end = at + Math.ceil(allowed(before));
      const done = at - BEHIND_BYTES;
      if (isLarge && done > forgotten) {
        forgetPages(file, forgotten, done);
        forgotten = done;
      }
      return end;
    };
  };
  return digestSource(source, { ...options, along, known });
}
