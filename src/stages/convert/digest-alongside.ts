import { setTimeout as sleep } from 'node:timers/promises';
import type { DropPlace } from '../../model/drop.js';
import type { SourceFile } from '../../model/report.js';
import { digestSource } from '../../sources/local/digest-source.js';
import { listSource } from '../../sources/local/list-source.js';
import type { WarmRecord } from '../warm/base-copy.js';
import type { SpeedMeter } from './speed-meter.js';

/** How far the digest may be ahead of the conversion: well below the page cache of a small host. */
const AHEAD_BYTES = 256 * 1024 * 1024;
const POLL_MILLISECONDS = 20;

/**
 * Returns size and digest of every file of the drop. It reads them at the conversion's pace, so that of the
 * two readers the second finds the bytes in the page cache and the disk is read once. Files of the base in `warm`,
 * which are unchanged, are not read again.
 */
export async function digestAlongside(
  source: DropPlace,
  meter: Pick<SpeedMeter, 'fraction'>,
  signal: AbortSignal,
  warm: Pick<WarmRecord, 'digests'> | null = null,
): Promise<SourceFile[]> {
  const known = new Map(warm?.digests.map((file) => [file.path, file]));
  const files = await listSource(source.directory, source.entries);
  const total = files.filter(({ path }) => !known.has(path)).reduce((sum, { size }) => sum + size, 0);
  let read = 0;
  return digestSource(source, {
    signal,
    known,
    async pace(bytes) {
      read += bytes;
      while (read > total * meter.fraction + AHEAD_BYTES)
        await sleep(POLL_MILLISECONDS, undefined, { signal });
    },
  });
}
