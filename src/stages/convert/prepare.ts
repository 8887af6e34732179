import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { largestOutput } from '../../disk/output-size.js';
import type { Stage, StageContext } from '../../engine/stage.js';
import { isErrorCode } from '../../errors/errno.js';
import { publish, syncPath, writeDurable } from '../../files/durable.js';
import { both, eachDisk } from '../../host/each-disk.js';
import { fetchOutput } from '../fetch/output.js';
import { flattenOutput } from '../flatten/output.js';
import {
  canBeCommitted,
  copyOptions,
  listed,
  WARM_DIRECTORY,
  WARM_RECORD,
  type WarmRecord,
} from '../warm/base-copy.js';
import { digestAlongside } from './digest-alongside.js';
import { SpeedMeter } from './speed-meter.js';
import { sealDisk, streamDisk } from './write-disk.js';

const prepareInput = z.object({ fetch: fetchOutput, flatten: flattenOutput });
type PrepareInput = z.infer<typeof prepareInput>;

const prepareOutput = z.object({
  /** Bytes on disk of the copies; 0 if the delivered form cannot be made from one. */
  written: z.int(),
});
type PrepareOutput = z.infer<typeof prepareOutput>;

/**
 * The last stage of a warm job's first run: converts the base ahead of its cutover, and takes the digests of its
 * files, so that CONVERT then only writes what has changed since.
 */
export const prepareStage: Stage<PrepareInput, PrepareOutput> = {
  name: 'prepare',
  version: 1,
  lane: 'conversions',
  input: prepareInput,
  output: prepareOutput,
  dependsOn: copyOptions,
  async run(context, input) {
    const { workDirectory, options, source } = context;
    if (!canBeCommitted(options)) return { written: 0 };
    const directory = join(workDirectory, WARM_DIRECTORY);
    // Whatever an earlier run left is of another base, or not whole.
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { mode: 0o700 });
    await context.reserve(
      input.flatten.disks
        .map((disk) => ({ virtualSize: disk.virtual_size, usedBytes: disk.used_bytes }))
        .reduce((sum, disk) => sum + largestOutput(disk, options.config.convert), 0),
      { atLeast: true },
    );
    const files = await listed(source);
    const meter = new SpeedMeter(context, input.flatten.disks);
    const [copies, digests] = await both(
      context.signal,
      (signal) =>
        eachDisk(input.flatten.disks, { limit: options.config.workers.disks, signal }, (disk, together) =>
          copyBase(context, disk, { signal: together, meter }),
        ),
      (signal) => digestAlongside(source, meter, signal),
    );
    const record: WarmRecord = {
      options: z.json().parse(copyOptions(options)),
      files,
      digests,
      disks: copies.map(({ index, file }) => ({
        file,
        chain: input.fetch.disks.find((disk) => disk.index === index)!.chain,
      })),
    };
    await writeDurable(join(workDirectory, WARM_RECORD), JSON.stringify(record), 0o600);
    await syncPath(directory);
    return { written: copies.reduce((sum, { allocated }) => sum + allocated, 0) };
  },
  async cleanup({ workDirectory }) {
    const directory = join(workDirectory, WARM_DIRECTORY);
    const names = await readdir(directory).catch((error: unknown) => {
      if (isErrorCode(error, 'ENOENT')) return [];
      throw error;
    });
    for (const name of names) if (name.endsWith('.part')) await rm(join(directory, name));
  },
  files: ({ written }) => (written === 0 ? [] : [WARM_RECORD]),
};

async function copyBase(
  context: StageContext,
  { index, image, virtual_size, allocated }: PrepareInput['flatten']['disks'][number],
  { signal, meter }: { signal: AbortSignal; meter: SpeedMeter },
): Promise<{ index: number; file: string; allocated: number }> {
  const { format } = context.options.config.convert;
  const name = `disk${index}.${format}`;
  const temporary = join(context.workDirectory, WARM_DIRECTORY, `.${name}.part`);
  await streamDisk(
    context,
    { image, temporary },
    { signal, onPercent: (percent) => meter.update(index, percent) },
  );
  meter.update(index, 100);
  const written = await sealDisk(temporary, { name, format, virtualSize: virtual_size }, signal);
  context.account({ read: allocated ?? written.allocated, written: written.allocated });
  await publish(temporary, join(context.workDirectory, WARM_DIRECTORY, name));
  return { index, file: join(WARM_DIRECTORY, name), allocated: written.allocated };
}
