import { z } from 'zod';
import type { Warnings } from '../../access/tolerate.js';
import type { Stage } from '../../engine/stage.js';
import { syncPath } from '../../files/durable.js';
import type { Warning } from '../../model/plan.js';
import { fetchOutput } from '../fetch/output.js';
import { flattenOutput } from '../flatten/output.js';
import { findSystem } from './find-system.js';
import { readKeys } from './luks-keys.js';
import { type InspectOutput, inspectOutput } from './output.js';
import { readStorage } from './storage.js';

const inspectInput = z.object({ fetch: fetchOutput, flatten: flattenOutput });
type InspectInput = z.infer<typeof inspectInput>;

/**
 * Opens the VM in the appliance, finds its system, takes the configuration snapshot. Everything after works
 * on what is returned here.
 */
export const inspectStage: Stage<InspectInput, InspectOutput> = {
  name: 'inspect',
  version: 4,
  lane: 'appliances',
  input: inspectInput,
  output: inspectOutput,
  dependsOn: (options) => ({
    firmware: options.vm.firmware ?? null,
    luks: options.config.guest.luks.map(({ device, key_file }) => [device, key_file]),
  }),
  enabled: (options) => options.kind === 'vm',
  async run(context, { fetch, flatten }) {
    const { options, workDirectory, signal, progress } = context;
    progress({ percent: 0, step: 'launching the appliance' });
    const access = await context.guest(flatten.disks.map((disk) => disk.image));
    const { reader, capabilities, traffic } = access;
    const before = await traffic();
    await reader.unmountAll();

    progress({ percent: 50, step: 'reading partitions and filesystems' });
    const warnings: Warnings = [];
    const controllers = flatten.disks.map((disk) => disk.controller);
    const keys = await readKeys(options.config.guest.luks, context.source);
    const storage = await readStorage(reader.devices, { keys, controllers }, warnings);
    const { family, root, unmountable } = await findSystem(reader, { storage, controllers });
    warnings.push(
      // A running guest has mounted what is its own, and others cannot be looked at.
      ...(capabilities.offline ? unmountable.map(({ device, reason }) => skipped(device, reason)) : []),
      ...storage.filesystems
        .filter(({ snapshot_of }) => snapshot_of === root.device)
        .map(({ device }) => snapshotOf(root.device, device)),
    );

    const firmware = options.vm.firmware ?? fetch.hardware.firmware;
    const found = await family.inspect(reader, root, {
      ...{ storage, controllers, firmware },
      ...{ workDirectory, signal, progress },
    });
    await syncPath(workDirectory);
    const after = await traffic();
    context.account({ read: after.read - before.read });
    return {
      identity: found.identity,
      snapshot: found.snapshot,
      snapshot_sha256: found.snapshotSha256,
      initramfs_listings: found.initramfsListings,
      unlocked: storage.unlocked,
      warnings: [...warnings, ...found.warnings],
    };
  },
  files: ({ snapshot, initramfs_listings }) => [snapshot, initramfs_listings],
};

const skipped = (device: string, reason: string): Warning => ({
  fixer: 'inspect',
  code: 'inspect.skipped',
  message: `${device} was not looked at: ${reason}`,
});

const snapshotOf = (root: string, device: string): Warning => ({
  fixer: 'inspect',
  code: 'inspect.snapshot',
  message: `${device} is a snapshot of the root ${root}: it keeps the state from before the conversion`,
});
