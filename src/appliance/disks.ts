import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import type { QmpClient } from '../machine/qmp.js';

const blocks = z.array(
  z.object({
    device: z.string(),
    inserted: z.object({ file: z.string(), 'node-name': z.string() }).optional(),
  }),
);
const stats = z.array(
  z.object({
    stats: z.object({ rd_bytes: z.number(), wr_bytes: z.number() }),
    device: z.string().optional(),
  }),
);

/**
 * Runs `blockdev-snapshot-sync` for each overlay (QEMU, docs/interop/live-block-operations.rst): from then on
 * the appliance writes to `<suffix>-disk<N>.qcow2`, and the overlay below is complete. libguestfs up to 1.48
 * names the drives (`device`), later versions name the nodes.
 */
export async function addLayer(
  qmp: QmpClient,
  workDirectory: string,
  overlays: readonly string[],
  suffix: string,
): Promise<string[]> {
  const attached = blocks.parse(await qmp.execute('query-block'));
  const layers: string[] = [];
  for (const [index, overlay] of overlays.entries()) {
    const block = attached.find((candidate) => basename(candidate.inserted?.file ?? '') === overlay);
    if (block?.inserted === undefined) throw new Error(`the appliance has no drive for ${overlay}`);
    const layer = `${suffix}-disk${index}.qcow2`;
    await rm(join(workDirectory, layer), { force: true });
    await qmp.execute('blockdev-snapshot-sync', {
      ...(block.device === ''
        ? { 'node-name': block.inserted['node-name'], 'snapshot-node-name': `${suffix}${index}` }
        : { device: block.device }),
      'snapshot-file': join(workDirectory, layer),
      format: 'qcow2',
    });
    layers.push(layer);
  }
  return layers;
}

export async function traffic(qmp: QmpClient): Promise<{ read: number; written: number }> {
  const drives = stats.parse(await qmp.execute('query-blockstats'));
  const guest = drives.filter((drive) => drive.device !== 'appliance');
  return {
    read: guest.reduce((sum, drive) => sum + drive.stats.rd_bytes, 0),
    written: guest.reduce((sum, drive) => sum + drive.stats.wr_bytes, 0),
  };
}
