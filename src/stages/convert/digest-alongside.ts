import { freemem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Follow } from '../../files/digest.js';
import { forgetPages } from '../../files/page-cache.js';
import type { DropPlace } from '../../model/drop.js';
import type { SourceFile } from '../../model/report.js';
import { digestSource } from '../../sources/local/digest-source.js';
import { listSource } from '../../sources/local/list-source.js';
import type { SpeedMeter } from './speed-meter.js';

/** How far the digest may be ahead of the conversion: well below the page cache of a small host. */
const AHEAD_BYTES = 256 * 1024 * 1024;
/** How far a byte is behind both when neither needs it any more: the conversion's place is an estimate. */
const BEHIND_BYTES = 256 * 1024 * 1024;
/** A larger part of the free memory than this is taken from others, of which the new disk is one. */
const LARGE_PART = 1 / 8;
const POLL_MILLISECONDS = 20;

/**
 * Returns size and digest of every file of the drop. It reads them at the conversion's pace, so that of the
 * two readers the second finds the bytes in the page cache and the disk is read once. A large drop leaves the
 * cache behind them: what is read twice would otherwise stay there longer than the new disk, which is only
 * written so far and will be read again.
 */
export async function digestAlongside(
  source: DropPlace,
  meter: Pick<SpeedMeter, 'fraction'>,
  signal: AbortSignal,
): Promise<SourceFile[]> {
  const files = await listSource(source.directory, source.entries);
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const isLarge = total > freemem() * LARGE_PART;
  const along = (before: number): Follow => {
    const converted = () => total * meter.fraction - before;
    let forgotten = 0;
    return async (at, file) => {
      while (converted() + AHEAD_BYTES <= at) await sleep(POLL_MILLISECONDS, undefined, { signal });
      const done = Math.min(at, converted()) - BEHIND_BYTES;
      if (isLarge && done > forgotten) {
        forgetPages(file, forgotten, Math.floor(done));
        forgotten = Math.floor(done);
      }
      return Math.ceil(converted() + AHEAD_BYTES);
    };
  };
  return digestSource(source, { signal, along });
}
