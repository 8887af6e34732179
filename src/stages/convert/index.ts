import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { largestOutput } from '../../disk/output-size.js';
import type { Stage, StageContext } from '../../engine/stage.js';
import { isErrorCode } from '../../errors/errno.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { sha256File } from '../../files/digest.js';
import { publish, syncPath } from '../../files/durable.js';
import { WEEK_SECONDS } from '../../host/durations.js';
import { both, eachDisk } from '../../host/each-disk.js';
import { dropPaths } from '../../sources/local/hold-source.js';
import { checkImage, convertImage, imageInfo } from '../../tools/qemu-img.js';
import { fixOutput } from '../fix/output.js';
import { flattenOutput } from '../flatten/output.js';
import { digestAlongside } from './digest-alongside.js';
import { type ConvertOutput, convertOutput } from './output.js';
import { convertTarget } from './output-format.js';
import { SpeedMeter } from './speed-meter.js';
import { TrafficMeter } from './traffic-meter.js';

const convertInput = z.object({ flatten: flattenOutput, fix: fixOutput.nullable() });
type ConvertInput = z.infer<typeof convertInput>;

/**
 * Streams each disk's stack (source, FLATTEN's overlay, FIX's overlay) to its delivered file, in one pass.
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
    const directory = join(context.workDirectory, 'out');
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await removeScratch(directory);
    // Reserved again: time has passed since FLATTEN reserved it, and a resumed job has no reservation yet.
    await context.reserve(
      input.flatten.disks
        .map((disk) => ({ virtualSize: disk.virtual_size, usedBytes: disk.used_bytes }))
        .reduce((sum, disk) => sum + largestOutput(disk, context.options.config.convert), 0),
    );
    const meter = new SpeedMeter(context, input.flatten.disks);
    const traffic = new TrafficMeter();
    let digestsRead = 0;
    const onDeviceRead = (bytes: number) => {
      digestsRead += bytes;
    };
    const [disks, source] = await both(
      context.signal,
      (signal) =>
        eachDisk(
          input.flatten.disks,
          { limit: context.options.config.workers.disks, signal },
          (disk, diskSignal) => {
            const fixed = input.fix?.disks.find(({ index }) => index === disk.index);
            const onPercent = (percent: number) => {
              if (percent >= 100) traffic.sample();
              meter.update(disk.index, percent);
            };
            const onStart = (pid: number) => traffic.started(disk.index, pid);
            return convertDisk(
              context,
              directory,
              { ...disk, image: fixed?.image ?? disk.image },
              {
                signal: diskSignal,
                onPercent,
                onStart,
                onEnd: () => traffic.ended(disk.index),
                onDeviceRead,
              },
            );
          },
        ),
      (signal) =>
        digestAlongside(
          context.source,
          { fraction: () => meter.fraction, read: () => traffic.sample().read },
          { signal, onDeviceRead },
        ),
    );
    const { read, deviceRead, deviceWritten } = traffic.sample();
    const device = {
      read: deviceRead + digestsRead,
      used: input.flatten.disks.reduce((sum, disk) => sum + disk.used_bytes, 0),
      written: deviceWritten,
      delivered: disks.reduce((sum, { allocated }) => sum + allocated, 0),
    };
    return { disks, source, ...(read === 0 ? {} : { device }) };
  },
  files: ({ disks }) => disks.map(({ file }) => file),
  async cleanup(context) {
    await removeScratch(join(context.workDirectory, 'out'));
  },
};

type Disk = Pick<
  ConvertInput['flatten']['disks'][number],
  'index' | 'image' | 'virtual_size' | 'allocated' | 'sector_size'
>;

interface DiskProgress {
  signal: AbortSignal;
  onPercent(percent: number): void;
  onStart(pid: number): void;
  onEnd(): void;
  /** Gets what the digest read from a disk. */
  onDeviceRead(bytes: number): void;
}

async function convertDisk(
  context: StageContext,
  directory: string,
  disk: Disk,
  { signal, onPercent, onStart, onEnd, onDeviceRead }: DiskProgress,
): Promise<ConvertOutput['disks'][number]> {
  const target = convertTarget(context.options.config.convert);
  const { format } = context.options.config.convert;
  const name = `${context.job.vm}-disk${disk.index}.${format}`;
  const temporary = join(directory, `.${name}.part`);
  await convertImage(
    {
      source: join(context.workDirectory, disk.image),
      sourceFormat: 'qcow2',
      target: temporary,
      // In order (no -W), so that the same input gives the same bytes.
      ...target,
    },
    { signal, timeoutSeconds: WEEK_SECONDS, onPercent, onStart, sees: dropPaths(context.source) },
  );
  onEnd();
  // The digest of the source waits for it.
  onPercent(100);
  // All three only read the new file, which is written back to the disk at the same time.
  const [sha256] = await Promise.all([
    sha256File(temporary, { signal, onDeviceRead }),
    verify(temporary, { name, format, virtualSize: disk.virtual_size }, signal),
    syncPath(temporary),
  ]);
  const allocated = (await stat(temporary)).blocks * 512;
  context.account({ read: disk.allocated ?? allocated, written: allocated });
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

async function verify(
  file: string,
  expected: { name: string; format: string; virtualSize: number },
  signal: AbortSignal,
): Promise<void> {
  if (expected.format !== 'raw') await check(file, expected.format, signal);
  const { virtualSize } = await imageInfo(file, expected.format, { signal });
  if (virtualSize !== expected.virtualSize) throw wrongSize(expected.name, virtualSize, expected.virtualSize);
}

async function check(file: string, format: string, signal: AbortSignal): Promise<void> {
  const { sound, corruptions } = await checkImage(file, format, { signal });
  if (sound) return;
  throw new Hyper2kvmError(
    'convert.check-failed',
    `qemu-img check found ${corruptions} errors in the new image`,
    {
      retryable: true,
    },
  );
}

function wrongSize(name: string, size: number, expected: number): Hyper2kvmError {
  return new Hyper2kvmError('convert.wrong-size', `${name} has ${size} bytes instead of ${expected}`, {
    retryable: true,
  });
}

async function removeScratch(directory: string): Promise<void> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (isErrorCode(error, 'ENOENT')) return [];
    throw error;
  });
  for (const name of names) if (name.endsWith('.part')) await rm(join(directory, name));
}
