import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GraphPlan } from '../../disk/graph.js';
import { Hyper2kvmError } from '../../errors.js';
import { syncPath } from '../../host/durable.js';
import { createImage, imageInfo } from '../../tools/qemu-img.js';

/**
 * Writes a plan's descriptors and makes its overlays, all synced: later stages resume from them after a power loss. qemu-img opens the whole
 * graph for each overlay, so that a graph which does not work fails here. Rejects with `flatten.size-mismatch` where QEMU sees another size
 * than our parsers.
 */
export async function buildGraph(plan: GraphPlan, workDirectory: string, signal: AbortSignal): Promise<void> {
  for (const { file, text } of plan.descriptors) {
    const path = join(workDirectory, file);
    await writeFile(path, text, { mode: 0o600, flag: 'wx' });
    await syncPath(path);
  }
  for (const { file, backing, backingFormat } of plan.overlays) {
    const path = join(workDirectory, file);
    await createImage(
      { file: path, format: 'qcow2', backing: { file: backing, format: backingFormat } },
      { signal, timeoutSeconds: 60 },
    );
    await syncPath(path);
  }
  const disk = plan.overlays.at(-1)!.file;
  const { virtualSize } = await imageInfo(join(workDirectory, disk), 'qcow2', { signal, timeoutSeconds: 60 });
  if (virtualSize === plan.virtualSize) return;
  throw new Hyper2kvmError(
    'flatten.size-mismatch',
    `QEMU sees a disk of ${virtualSize} bytes, the headers say ${plan.virtualSize}`,
    { advice: 'The image’s header contradicts itself: export the disk again.' },
  );
}
