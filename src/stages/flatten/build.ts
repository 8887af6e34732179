import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GraphPlan } from '../../disk/graph.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { syncPath } from '../../files/durable.js';
import { createImage, imageInfo, type ToolOptions } from '../../tools/qemu-img.js';

/**
 * Writes a plan's descriptors and creates its overlays, all synced, because later stages resume from them
 * after a power loss. qemu-img opens the whole graph for each overlay, so a graph that does not work fails
 * here. Rejects with `flatten.unreadable`, and with `flatten.size-mismatch` if QEMU sees another size than
 * our parsers.
 */
export async function buildGraph(
  plan: GraphPlan,
  workDirectory: string,
  tool: Pick<ToolOptions, 'signal' | 'sees'>,
): Promise<void> {
  const options = { ...tool, timeoutSeconds: 60 };
  for (const { file, text } of plan.descriptors) {
    const path = join(workDirectory, file);
    await writeFile(path, text, { mode: 0o600, flag: 'wx' });
    await syncPath(path);
  }
  for (const { file, backing, backingFormat } of plan.overlays) {
    const path = join(workDirectory, file);
    await createImage(
      { file: path, format: 'qcow2', backing: { file: backing, format: backingFormat } },
      options,
    ).catch((error: unknown) => {
      throw cannotOpen(error);
    });
    await syncPath(path);
  }
  const disk = plan.overlays.at(-1)!.file;
  const { virtualSize } = await imageInfo(join(workDirectory, disk), 'qcow2', options);
  if (virtualSize === plan.virtualSize) return;
  throw new Hyper2kvmError(
    'flatten.size-mismatch',
    `QEMU sees a disk of ${virtualSize} bytes, the headers say ${plan.virtualSize}`,
  );
}

/** Translates a failure of QEMU's driver on what our parsers accepted. */
function cannotOpen(error: unknown): unknown {
  if (!(error instanceof Hyper2kvmError) || error.code !== 'tool.failed') return error;
  const said = error.cause instanceof Error ? error.cause.message : error.message;
  const what = said.replace(/^.*flat-disk\d+[^:]*: /, '');
  return new Hyper2kvmError('flatten.unreadable', `QEMU cannot open the disk: ${what}`, {
    cause: error,
  });
}
