import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import type { StageContext } from '../../engine/stage.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { syncPath, writeDurable } from '../../files/durable.js';
import { exists } from '../../files/exists.js';
import { failpoint } from '../../host/failpoint.js';
import { dropPaths } from '../../sources/local/hold-source.js';
import type { NbdClient } from '../../tools/nbd-client.js';
import { type Area, areasAbove, imageInfo, type ToolOptions } from '../../tools/qemu-img.js';
import { withServedImage } from '../../tools/qemu-nbd.js';
import { type BaseCopy, WARM_DIRECTORY } from '../warm/base-copy.js';

export interface CommitRequest {
  base: BaseCopy;
  /** What is delivered: FIX's overlay, or FLATTEN's, in the work directory. */
  image: string;
  /** FLATTEN's overlay. */
  flat: string;
  index: number;
  /** How many layers the source has above the base. */
  deltas: number;
}

const CHUNK_BYTES = 2 * 1024 * 1024;
const WRITE_ZEROES_BYTES = 1024 ** 3;

/**
 * Writes onto the copy of a base what the layers above it hold, and what an earlier run has written to it: only
 * these areas differ from the base. They are recorded before the first byte of them is written, so that after a
 * crash, or with other changes by FIX, a further run makes the copy equal again. Returns the bytes written; null
 * if there are too many areas, with nothing written.
 */
export async function commitAreas(
  context: StageContext,
  request: CommitRequest,
  { signal, onPercent }: { signal: AbortSignal; onPercent(percent: number): void },
): Promise<number | null> {
  const { workDirectory } = context;
  const { base, image, index } = request;
  const sees = dropPaths(context.source);
  const file = join(workDirectory, image);
  const depth = await layersAbove(request, workDirectory, { signal, sees });
  const changed = await areasAbove(file, depth, { signal, sees });
  if (changed === null) return null;
  const journal = join(workDirectory, WARM_DIRECTORY, `disk${index}.touched.json`);
  const areas = union(changed, await readTouched(journal));
  await writeDurable(journal, JSON.stringify(areas.map(({ start, length }) => [start, length])), 0o600);
  await syncPath(join(workDirectory, WARM_DIRECTORY));
  const target = join(workDirectory, base.file);
  const total = areas.reduce((sum, { length }) => sum + length, 0);
  let done = 0;
  return withServedImage({ file, format: 'qcow2', isWritable: false, sees }, signal, (from) =>
    withServedImage({ file: target, format: base.format, isWritable: true }, signal, async (to) => {
      let written = 0;
      for (const area of areas) {
        written += await copyArea(area, from, to, signal);
        failpoint('warm.committing');
        done += area.length;
        onPercent((100 * done) / Math.max(1, total));
      }
      await to.flush();
      return written;
    }),
  );
}

/** Returns how many images of the stack are above the base's layers. */
async function layersAbove(
  { image, flat, index, deltas }: CommitRequest,
  workDirectory: string,
  options: ToolOptions,
): Promise<number> {
  let own = 1;
  for (let name = image; name !== flat; own += 1) {
    const { backing } = await imageInfo(join(workDirectory, name), 'qcow2', options);
    // FIX has one overlay a disk, and its boot test another one.
    if (backing === null || own > 4)
      throw new Hyper2kvmError('internal.unexpected', `${image} is not based on ${flat}`);
    name = basename(backing.file);
  }
  // FLATTEN's overlays between the layers of a deep chain hold nothing: too many of them count as deltas.
  const between = new RegExp(`^flat-disk${index}\\.layer\\d+\\.qcow2$`);
  return own + deltas + (await readdir(workDirectory)).filter((name) => between.test(name)).length;
}

async function copyArea(
  { start, length, isZero }: Area,
  from: NbdClient,
  to: NbdClient,
  signal: AbortSignal,
): Promise<number> {
  const step = isZero ? WRITE_ZEROES_BYTES : CHUNK_BYTES;
  for (let at = start; at < start + length; at += step) {
    signal.throwIfAborted();
    const size = Math.min(step, start + length - at);
    if (isZero) await to.writeZeroes(at, size);
    else await to.write(at, await from.read(at, size));
  }
  return isZero ? 0 : length;
}

const touchedSchema = z.array(z.tuple([z.int(), z.int()]));

async function readTouched(journal: string): Promise<Area[]> {
  if (!(await exists(journal))) return [];
  return touchedSchema
    .parse(JSON.parse(await readFile(journal, 'utf8')))
    .map(([start, length]) => ({ start, length, isZero: false }));
}

/**
 * Returns areas that cover both lists, each in order and without overlaps. What only `touched` has is read from the
 * stack like data, whatever it is there.
 */
export function union(changed: readonly Area[], touched: readonly Area[]): Area[] {
  const gaps: Area[] = [];
  let next = 0;
  for (const { start, length } of touched) {
    const end = start + length;
    while (next < changed.length && endOf(changed[next]!) <= start) next += 1;
    let at = start;
    for (let index = next; at < end; index += 1) {
      const other = changed[index];
      const until = Math.min(end, other?.start ?? end);
      if (at < until) gaps.push({ start: at, length: until - at, isZero: false });
      if (other === undefined || other.start >= end) break;
      at = Math.max(at, endOf(other));
    }
  }
  return [...changed, ...gaps].sort((a, b) => a.start - b.start);
}

function endOf({ start, length }: Area): number {
  return start + length;
}
