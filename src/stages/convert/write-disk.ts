import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { StageContext } from '../../engine/stage.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { sha256File } from '../../files/digest.js';
import { syncPath } from '../../files/durable.js';
import { WEEK_SECONDS } from '../../host/durations.js';
import { dropPaths } from '../../sources/local/hold-source.js';
import { checkImage, convertImage, imageInfo } from '../../tools/qemu-img.js';
import { convertTarget } from './output-format.js';

interface DiskToWrite {
  /** The stack, in the work directory. */
  image: string;
  /** The file that is written. */
  temporary: string;
}

/** Streams a stack to a file in the form of the options. */
export async function streamDisk(
  context: StageContext,
  { image, temporary }: DiskToWrite,
  { signal, onPercent }: { signal: AbortSignal; onPercent(percent: number): void },
): Promise<void> {
  await convertImage(
    {
      source: join(context.workDirectory, image),
      sourceFormat: 'qcow2',
      target: temporary,
      // In order (no -W), so that the same input gives the same bytes.
      ...convertTarget(context.options.config.convert),
    },
    { signal, timeoutSeconds: WEEK_SECONDS, onPercent, sees: dropPaths(context.source) },
  );
}

/** Checks a new disk, and makes it durable. Rejects with `convert.check-failed`, `convert.wrong-size`. */
export async function sealDisk(
  temporary: string,
  expected: { name: string; format: string; virtualSize: number },
  signal: AbortSignal,
): Promise<{ sha256: string; allocated: number }> {
  // All three only read the new file, which is written back to the disk at the same time.
  const [sha256] = await Promise.all([
    sha256File(temporary, signal),
    verify(temporary, expected, signal),
    syncPath(temporary),
  ]);
  return { sha256, allocated: (await stat(temporary)).blocks * 512 };
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
