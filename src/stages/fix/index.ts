import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Layers } from '../../access/guest-access.js';
import type { GuestWriter } from '../../access/guest-writer.js';
import { withUnifiedImages } from '../../access/unified-images.js';
import type { Stage, StageContext } from '../../engine/stage.js';
import type { Evidence } from '../../families/base/family.js';
import { syncPath } from '../../files/durable.js';
import type { InitramfsListing } from '../../guest/initramfs-listing.js';
import type { Identity } from '../../model/identity.js';
import { executeOperations } from '../../operations/execute-operations.js';
import { proveOutcomes } from '../../operations/prove-outcomes.js';
import { flattenOutput } from '../flatten/output.js';
import { inspectOutput } from '../inspect/output.js';
import { reopenContainers } from '../inspect/unlock.js';
import { planOutput } from '../plan/output.js';
import { dropJournals, mountGuest, trim, trimmable } from './mount.js';
import { type FixOutput, fixOutput } from './output.js';
import { provePlan } from './prove-plan.js';

const fixInput = z.object({ flatten: flattenOutput, inspect: inspectOutput, plan: planOutput });
type FixInput = z.infer<typeof fixInput>;

/**
 * Executes the plan in the appliance that INSPECT launched (or in a new one after a restart), checks the
 * result, then writes the boot test's additions to a separate overlay and shuts the appliance down.
 */
export const fixStage: Stage<FixInput, FixOutput> = {
  name: 'fix',
  version: 4,
  lane: 'appliances',
  input: fixInput,
  output: fixOutput,
  dependsOn: (options) => ({ fix: options.config.fix, evidence: options.config.validate.enabled }),
  enabled: (options) => options.kind === 'vm',
  async run(context, input) {
    const { identity } = input.inspect;
    const { operations } = input.plan.plan;
    context.progress({ percent: 0, step: 'opening the guest' });
    const access = await context.guest(
      input.flatten.disks.map(({ image }) => image),
      input.flatten.disks.map(({ sector_size }) => sector_size),
    );
    const { layers, trim: trimming } = access.capabilities;
    const before = await access.traffic();
    const target = withUnifiedImages(
      access.writer({ selinux: identity.os_type !== 'windows' && identity.selinux }),
    );
    await reopenContainers(target.devices, input.inspect.unlocked, context.source);
    const proofs: string[] = [];
    // Mounting alone changes a filesystem.
    const isUnchanged = context.options.config.fix.mode === 'none';
    if (!isUnchanged) {
      await target.unmountAll();
      proofs.push(...(await dropJournals(target.devices, identity)));
      await mountGuest(target, identity.mounts);
      const done = await executeOperations(target, operations, {
        signal: context.signal,
        listings: await readListings(join(context.workDirectory, input.inspect.initramfs_listings)),
        onStep: (done, { op, reason }) => {
          context.progress({ percent: 5 + (70 * done) / operations.length, step: op });
          context.log.debug({ operation: op, reason }, 'operation');
        },
      });
      context.progress({ percent: 75, step: 'reading back' });
      proofs.push(...done, ...(await proveOutcomes(target, operations)));
    }
    const planned = {
      snapshot: join(context.workDirectory, input.inspect.snapshot),
      ...{ operations, identity, isRunning: false },
    };
    const after = await provePlan(isUnchanged ? null : target, planned, context.signal);
    proofs.push(...after.proofs);
    if (trimming !== null && !isUnchanged) {
      const trimmed = await trim(trimming, trimmable(identity), allocated(input));
      if (trimmed.length > 0) proofs.push(`trimmed ${trimmed.join(', ')}`);
    }
    await target.unmountAll();
    await target.sync();

    context.progress({ percent: 85, step: 'preparing the boot test' });
    const evidence =
      layers !== null && context.options.config.validate.enabled
        ? await addEvidence({ target, layers }, context, identity, after.evidence)
        : NO_EVIDENCE;
    const traffic = await access.traffic();
    context.account({ read: traffic.read - before.read, written: traffic.written - before.written });
    context.progress({ percent: 95, step: 'shutting down the appliance' });
    const images = layers?.images ?? [];
    await context.closeGuest();
    for (const file of [...images, ...evidence.layers]) await syncPath(join(context.workDirectory, file));
    await syncPath(context.workDirectory);
    return {
      disks: images.map((image, index) => ({
        index,
        image,
        format: 'qcow2' as const,
        evidence: evidence.layers[index] ?? null,
      })),
      proofs,
      applied: operations.length,
      evidence_changes: evidence.changes,
      evidence_unit: evidence.unit,
      network: after.network,
    };
  },
  files: ({ disks }) =>
    disks.flatMap(({ image, evidence }) => (evidence === null ? [image] : [image, evidence])),
};

function allocated(input: FixInput): number | null {
  return input.flatten.disks.reduce<number | null>(
    (sum, disk) => (sum === null || disk.allocated === null ? null : sum + disk.allocated),
    0,
  );
}

const NO_EVIDENCE = { layers: [], changes: [], unit: false };

/**
 * Writes the boot test's overlay. The delivered disk often has no serial console; the overlay gets one, and a
 * unit that reports what came up.
 */
async function addEvidence(
  { target, layers }: { target: GuestWriter; layers: Layers },
  context: StageContext,
  { mounts }: Identity,
  { operations, changes, unit }: Evidence,
) {
  if (operations.length === 0) return NO_EVIDENCE;
  const files = await layers.add('evidence');
  await mountGuest(target, mounts);
  await executeOperations(target, operations, { signal: context.signal, listings: {} });
  await target.unmountAll();
  await target.sync();
  return { layers: files, changes, unit };
}

async function readListings(file: string): Promise<Record<string, InitramfsListing>> {
  return JSON.parse(await readFile(file, 'utf8')) as Record<string, InitramfsListing>;
}
