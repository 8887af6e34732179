import type { Kernel } from '../../stages/inspect/schema.js';
import type { Fixer, Guest } from '../fixer.js';
import type { Plan } from '../operation.js';
import { type ModuleIndex, moduleIndex } from './modules.js';

const NAME = 'devices';

/** What the guest's kernels must bring for a set of the domain's devices. `optional` drivers are taken along where a kernel has them. */
export interface DeviceSet {
  devices: Plan['devices'];
  storage: readonly string[];
  optionalStorage: readonly string[];
  network: readonly string[];
}

export const DEVICE_SETS: readonly [DeviceSet, ...DeviceSet[]] = [
  {
    devices: { disk_bus: 'virtio', nic_model: 'virtio' },
    storage: ['virtio_pci', 'virtio_blk'],
    optionalStorage: ['virtio_scsi'],
    network: ['virtio_net'],
  },
  {
    devices: { disk_bus: 'sata', nic_model: 'e1000e' },
    storage: ['ahci', 'sd_mod'],
    optionalStorage: [],
    network: ['e1000e'],
  },
  {
    devices: { disk_bus: 'ide', nic_model: 'e1000' },
    storage: ['ata_piix', 'sd_mod'],
    optionalStorage: [],
    network: ['e1000'],
  },
];

/**
 * The best set that at least one kernel can be started on: its drivers are built in, or are modules and there is an initramfs to load them from. Nothing known of
 * any kernel: virtio, as every kernel since 2.6.25 has it.
 */
export function chooseDevices({ tree, identity }: Guest): DeviceSet {
  const known = identity.kernels.filter((kernel) => isKnown(moduleIndex(tree, kernel)));
  const [virtio] = DEVICE_SETS;
  if (known.length === 0) return virtio;
  return (
    DEVICE_SETS.find(({ storage }) =>
      known.some((kernel) => canLoad(kernel, moduleIndex(tree, kernel), storage)),
    ) ?? virtio
  );
}

/** Every kernel of a distribution has SCSI disks in one form or the other: none of them means that the index is not in the snapshot. */
function isKnown(index: ModuleIndex): boolean {
  return ['sd_mod', 'scsi_mod', 'ext4', 'virtio'].some(
    (name) => index.isBuiltin(name) || index.path(name) !== null,
  );
}

function canLoad(kernel: Kernel, index: ModuleIndex, drivers: readonly string[]): boolean {
  return drivers.every(
    (name) => index.isBuiltin(name) || (index.path(name) !== null && kernel.initramfs !== null),
  );
}

export const devices: Fixer = {
  name: NAME,
  description:
    'Chooses the devices of the new VM by what the guest’s kernels can drive: virtio, or SATA (IDE) disks and an e1000 network card for a kernel from before virtio. Nothing in the guest is changed.',
  plan(guest) {
    const chosen = chooseDevices(guest);
    const { disk_bus, nic_model } = chosen.devices;
    if (disk_bus === 'virtio') return { operations: [], warnings: [], devices: chosen.devices };
    const message = `none of the guest's kernels can be started from virtio disks: the VM gets ${disk_bus} disks and an ${nic_model} network card`;
    return {
      operations: [],
      warnings: [{ fixer: NAME, code: 'devices.no-virtio', message }],
      devices: chosen.devices,
    };
  },
};
