import { join } from 'node:path';
import { z } from 'zod';
import type { StageContext } from '../../engine/stage.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { WEEK_SECONDS } from '../../host/durations.js';
import type { Content } from '../../model/boot.js';
import { dropPaths } from '../../sources/local/hold-source.js';
import { compareImages } from '../../tools/qemu-img.js';
import { convertOutput } from '../convert/output.js';
import { flattenOutput } from '../flatten/output.js';

/** The outputs that exist for data disks, for which nothing is inspected, planned or fixed. */
export const dataInput = z.object({
  flatten: flattenOutput,
  inspect: z.null(),
  plan: z.null(),
  fix: z.null(),
  convert: convertOutput,
});
export type DataInput = z.infer<typeof dataInput>;

/**
 * Reads source and result once more and compares every byte: the proof for a disk that cannot boot. Rejects
 * with `validate.content-differs`.
 */
export async function compareContent(context: StageContext, input: DataInput): Promise<Content> {
  const started = performance.now();
  const disks: Content['disks'] = [];
  for (const { index, file, format, virtual_size } of input.convert.disks) {
    context.progress({
      percent: (100 * disks.length) / input.convert.disks.length,
      step: 'comparing content',
    });
    const source = input.flatten.disks.find((disk) => disk.index === index);
    const same =
      source !== undefined &&
      source.virtual_size === virtual_size &&
      (await compareImages(
        { file: join(context.workDirectory, source.image), format: source.format },
        { file: join(context.workDirectory, file), format },
        { signal: context.signal, timeoutSeconds: WEEK_SECONDS, sees: dropPaths(context.source) },
      ));
    if (!same) throw differs(file);
    context.account({ read: (source.allocated ?? virtual_size) * 2 });
    disks.push({ index, virtual_size });
  }
  return { verdict: 'identical', seconds: Math.round(performance.now() - started) / 1000, disks };
}

function differs(file: string): Hyper2kvmError {
  return new Hyper2kvmError('validate.content-differs', `the content of ${file} differs from the source`);
}
