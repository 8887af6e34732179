import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { Hyper2kvmError } from '../../errors.js';
import { publish, sha256File, syncPath } from '../../host/durable.js';
import type { Stage, StageContext } from '../../pipeline/stage.js';
import { checkImage, convertImage } from '../../tools/qemu-img.js';
import { fixOutput } from '../fix/schema.js';
import { flattenOutput } from '../flatten/schema.js';
import { type ConvertOutput, convertOutput } from './schema.js';

const convertInput = z.object({ flatten: flattenOutput, fix: fixOutput.nullable() });
type ConvertInput = z.infer<typeof convertInput>;

/** Streams each disk's stack (source, FLATTEN's overlay, FIX's overlay) to its delivered file, in one pass. */
export const convertStage: Stage<ConvertInput, ConvertOutput> = {
  name: 'convert',
  version: 1,
  lane: 'conversions',
  input: convertInput,
  output: convertOutput,
  dependsOn: (options) => options.config.convert,
  async run(context, input) {
    const directory = join(context.workDirectory, 'out');
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await removeScratch(directory);
    const total = input.flatten.disks.reduce((sum, disk) => sum + disk.virtual_size, 0);
    const disks: ConvertOutput['disks'] = [];
    let before = 0;
    for (const disk of input.flatten.disks) {
      const fixed = input.fix?.disks.find(({ index }) => index === disk.index);
      const meter = speedMeter(context, before / total, disk.virtual_size / total, disk.virtual_size);
      disks.push(
        await convertDisk(context, directory, { ...disk, image: fixed?.image ?? disk.image }, meter),
      );
      before += disk.virtual_size;
    }
    await syncPath(context.workDirectory);
    return { disks };
  },
  files: ({ disks }) => disks.map(({ file }) => file),
  async cleanup(context) {
    await removeScratch(join(context.workDirectory, 'out'));
  },
};

type Disk = Pick<ConvertInput['flatten']['disks'][number], 'index' | 'image' | 'virtual_size' | 'allocated'>;

async function convertDisk(
  context: StageContext,
  directory: string,
  disk: Disk,
  onPercent: (percent: number) => void,
): Promise<ConvertOutput['disks'][number]> {
  const { signal } = context;
  const { format, compression } = context.options.config.convert;
  const name = `${context.job.vm}-disk${disk.index}.${format}`;
  const temporary = join(directory, `.${name}.part`);
  await convertImage(
    {
      source: join(context.workDirectory, disk.image),
      sourceFormat: 'qcow2',
      target: temporary,
      targetFormat: format,
      // In order (no -W): the same input gives the same bytes.
      ...(format === 'qcow2' && compression !== 'none'
        ? { compress: true, settings: { compression_type: compression } }
        : {}),
    },
    { signal, timeoutSeconds: 7 * 24 * 3600, onPercent },
  );
  if (format === 'qcow2') await check(temporary, signal);
  const { size, blocks } = await stat(temporary);
  if (format === 'raw' && size !== disk.virtual_size) throw wrongSize(name, size, disk.virtual_size);
  const allocated = blocks * 512;
  context.account({ read: disk.allocated ?? allocated, written: allocated });
  context.progress({ percent: 99, step: 'computing the digest' });
  const sha256 = await sha256File(temporary, signal);
  await publish(temporary, join(directory, name));
  return {
    index: disk.index,
    file: `out/${name}`,
    format,
    virtual_size: disk.virtual_size,
    allocated,
    sha256,
  };
}

async function check(file: string, signal: AbortSignal): Promise<void> {
  const { sound, corruptions } = await checkImage(file, 'qcow2', { signal });
  if (sound) return;
  throw new Hyper2kvmError(
    'convert.check-failed',
    `qemu-img check found ${corruptions} errors in the new image`,
    {
      advice: 'The storage under the work directory is not reliable: look at the kernel log, then retry.',
      retryable: true,
    },
  );
}

function wrongSize(name: string, size: number, expected: number): Hyper2kvmError {
  return new Hyper2kvmError('convert.wrong-size', `${name} has ${size} bytes instead of ${expected}`, {
    advice: 'Something truncated the output: look at the file system and its quota, then retry.',
    retryable: true,
  });
}

/** Percent of all disks together and bytes of virtual disk per second since this disk's start. */
function speedMeter(context: StageContext, offset: number, share: number, bytes: number) {
  const started = performance.now();
  return (percent: number) => {
    const seconds = (performance.now() - started) / 1000;
    const bytesPerSecond = seconds > 0.2 ? ((percent / 100) * bytes) / seconds : undefined;
    context.progress({
      percent: Math.min(98, 100 * (offset + (share * percent) / 100)),
      step: 'converting',
      ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
    });
  };
}

async function removeScratch(directory: string): Promise<void> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  for (const name of names) if (name.endsWith('.part')) await rm(join(directory, name));
}
