import { link, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { largestOutput } from '../../disk/output-size.js';
import type { Stage, StageContext } from '../../engine/stage.js';
import { isErrorCode } from '../../errors/errno.js';
import { publish } from '../../files/durable.js';
import { both, eachDisk } from '../../host/each-disk.js';
import type { Chain } from '../../model/storage.js';
import { fetchOutput } from '../fetch/output.js';
import { fixOutput } from '../fix/output.js';
import { flattenOutput } from '../flatten/output.js';
import { type BaseCopy, copyOf, preparedBytes, unchangedBase, WARM_DIRECTORY } from '../warm/base-copy.js';
import { commitAreas } from './commit-areas.js';
import { digestAlongside } from './digest-alongside.js';
import { type ConvertOutput, convertOutput } from './output.js';
import { convertTarget } from './output-format.js';
import { SpeedMeter } from './speed-meter.js';
import { sealDisk, streamDisk } from './write-disk.js';

const convertInput = z.object({ fetch: fetchOutput, flatten: flattenOutput, fix: fixOutput.nullable() });
type ConvertInput = z.infer<typeof convertInput>;

/**
 * Streams each disk's stack (source, FLATTEN's overlay, FIX's overlay) to its delivered file, in one pass. Where a
 * warm job's base was converted ahead (prepare.ts), only what is above it is written.
 */
export const convertStage: Stage<ConvertInput, ConvertOutput> = {
  name: 'convert',
  version: 3,
  lane: 'conversions',
  input: convertInput,
  output: convertOutput,
  dependsOn: (options) => options.config.convert,
  check({ config }) {
    convertTarget(config.convert);
  },
  async run(context, input) {
    const { workDirectory, options } = context;
    const directory = join(workDirectory, 'out');
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await removeScratch(directory);
    const record = await unchangedBase(workDirectory, context.source, options);
    // One that does not count any more would only take the space of the whole disk that is written instead.
    if (record === null) await rm(join(workDirectory, WARM_DIRECTORY), { recursive: true, force: true });
    // Reserved again: time has passed since FLATTEN reserved it, and a resumed job has no reservation yet.
    await context.reserve(
      input.flatten.disks
        .map((disk) => ({ virtualSize: disk.virtual_size, usedBytes: disk.used_bytes }))
        .reduce((sum, disk) => sum + largestOutput(disk, options.config.convert), 0),
      { written: await preparedBytes(workDirectory) },
    );
    const meter = new SpeedMeter(context, input.flatten.disks);
    const [disks, source] = await both(
      context.signal,
      (signal) =>
        eachDisk(input.flatten.disks, { limit: options.config.workers.disks, signal }, (disk, together) => {
          const fixed = input.fix?.disks.find(({ index }) => index === disk.index);
          const onPercent = (percent: number) => meter.update(disk.index, percent);
          const { chain } = input.fetch.disks.find(({ index }) => index === disk.index)!;
          const base = copyOf(record, chain, options.config.convert.format);
          const stack = { ...disk, flat: disk.image, image: fixed?.image ?? disk.image, chain, base };
          return convertDisk(context, directory, stack, { signal: together, onPercent });
        }),
      (signal) => digestAlongside(context.source, meter, signal, record),
    );
    return { disks, source };
  },
  files: ({ disks }) => disks.map(({ file }) => file),
  async cleanup(context) {
    await removeScratch(join(context.workDirectory, 'out'));
  },
};

type Disk = Pick<
  ConvertInput['flatten']['disks'][number],
  'index' | 'image' | 'virtual_size' | 'allocated' | 'sector_size'
> & { flat: string; chain: Chain; base: BaseCopy | null };

async function convertDisk(
  context: StageContext,
  directory: string,
  disk: Disk,
  progress: { signal: AbortSignal; onPercent(percent: number): void },
): Promise<ConvertOutput['disks'][number]> {
  const { format } = context.options.config.convert;
  const name = `${context.job.vm}-disk${disk.index}.${format}`;
  const temporary = join(directory, `.${name}.part`);
  const committed =
    disk.base === null ? null : await commitDisk(context, disk, disk.base, temporary, progress);
  if (committed === null) await streamDisk(context, { image: disk.image, temporary }, progress);
  // The digest of the source waits for it.
  progress.onPercent(100);
  const expected = { name, format, virtualSize: disk.virtual_size };
  const { sha256, allocated } = await sealDisk(temporary, expected, progress.signal);
  context.account({ read: committed ?? disk.allocated ?? allocated, written: committed ?? allocated });
  await publish(temporary, join(directory, name));
  return {
    index: disk.index,
    file: `out/${name}`,
    format,
    virtual_size: disk.virtual_size,
    allocated,
    sha256,
    ...(disk.sector_size === 4096 ? { sector_size: 4096 as const } : {}),
  };
}

/**
 * Brings the copy of the base up to date, and gives it a second name for delivery: the first one stays, for the
 * next attempt. Returns the bytes written; null if the disk must be written as a whole.
 */
async function commitDisk(
  context: StageContext,
  { index, image, flat, chain }: Disk,
  base: BaseCopy,
  temporary: string,
  progress: { signal: AbortSignal; onPercent(percent: number): void },
): Promise<number | null> {
  const deltas = chain.layers.length - base.layers;
  const written = await commitAreas(context, { base, image, flat, index, deltas }, progress);
  if (written === null) return null;
  await link(join(context.workDirectory, base.file), temporary);
  const delta = chain.layers.slice(0, deltas).reduce((sum, layer) => sum + layer.used_bytes, 0);
  context.log.info(
    { disk: index, written_bytes: written, delta_bytes: delta },
    'changes written onto the base',
  );
  return written;
}

async function removeScratch(directory: string): Promise<void> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (isErrorCode(error, 'ENOENT')) return [];
    throw error;
  });
  for (const name of names) if (name.endsWith('.part')) await rm(join(directory, name));
}
