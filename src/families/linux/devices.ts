import { Hyper2kvmError } from '../../errors/error.js';
import type { GuestTree } from '../../guest/tree.js';
import { machineArchitecture } from '../../machine/architecture.js';
import type { Kernel } from '../../model/identity.js';
import type { Devices, Warning } from '../../model/plan.js';

import type { Fixer, Guest } from '../base/fixer.js';
import { type ModuleIndex, moduleIndex } from './modules.js';

const NAME = 'devices';

/**
 * What the guest's kernels must provide for a set of the new VM's devices. `optional` drivers are included
 * where a kernel has them.
 */
export interface DeviceSet {
  devices: Devices;
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
 * Returns the best set that at least one kernel can boot from: its drivers are built in, or are modules and
 * an initramfs can load them. If nothing is known of any kernel, it is virtio, which every kernel since
 * 2.6.25 has. It is transitional virtio where one of the kernels that can boot from it predates virtio 1.0:
 * later kernels drive those devices too.
 */
export function chooseDevices({ tree, identity }: Pick<Guest, 'tree' | 'identity'>): DeviceSet {
  const known = identity.kernels.filter((kernel) => isKnown(moduleIndex(tree, kernel)));
  const [virtio] = DEVICE_SETS;
  const { machines } = machineArchitecture(identity.architecture);
  const sets = DEVICE_SETS.filter(({ devices }) => machines[devices.disk_bus] !== undefined);
  const set =
    known.length === 0
      ? virtio
      : (sets.find(({ storage }) => startable(known, tree, storage).length > 0) ?? virtio);
  if (set !== virtio || legacyKernels({ tree, identity }).length === 0) return set;
  return { ...virtio, devices: { ...virtio.devices, virtio: 'transitional' } };
}

const startable = (kernels: readonly Kernel[], tree: GuestTree, drivers: readonly string[]): Kernel[] =>
  kernels.filter((kernel) => canLoad(kernel, moduleIndex(tree, kernel), drivers));

/** Returns the versions of the kernels that have drivers for virtio disks, but not for virtio 1.0. */
function legacyKernels({ tree, identity }: Pick<Guest, 'tree' | 'identity'>): string[] {
  const [{ storage }] = DEVICE_SETS;
  return startable(identity.kernels, tree, storage)
    .filter((kernel) => !supportsVirtio1(kernel, tree))
    .map(({ version }) => version);
}

/** Red Hat's 3.10.0 has virtio 1.0 since RHEL 7.2. */
const FIRST_EL7_BUILD = 327;

/**
 * Returns whether a kernel drives virtio 1.0. virtio_pci does since Linux 4.0, and since 5.12 with a separate
 * module. A backport is recognised by its name or by the device IDs that it lists.
 */
function supportsVirtio1(kernel: Kernel, tree: GuestTree): boolean {
  const index = moduleIndex(tree, kernel);
  const names = ['virtio_pci_modern_dev', 'virtio_pci_modern'];
  if (names.some((name) => index.isBuiltin(name) || index.path(name) !== null)) return true;
  const major = /^(\d+)\./.exec(kernel.version)?.[1];
  if (major !== undefined && Number(major) >= 4) return true;
  const build = /^3\.10\.0-(\d+)\..*\bel7/.exec(kernel.version)?.[1];
  if (build !== undefined && Number(build) >= FIRST_EL7_BUILD) return true;
  const aliases = kernel.modules === null ? undefined : tree.text(`${kernel.modules}/modules.alias`)?.text;
  return /^alias pci:v00001AF4d000010[4-7][0-9A-F]\S* virtio_pci/m.test(aliases ?? '');
}

/**
 * False if the snapshot lacks the kernel's module index: every distribution's kernel has SCSI disks, built in
 * or as a module, so none of them means no index.
 */
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

/** An IDE controller of a `pc` machine has two channels with two disks each. */
const IDE_DISKS = 4;

export const devices: Fixer = {
  name: NAME,
  description:
    'Chooses the devices of the new VM by the drivers of the guest’s kernels: virtio, transitional virtio where one of them predates virtio 1.0 (Linux 4.0), or SATA (IDE) disks and an e1000 network card for a kernel that predates virtio. Nothing in the guest is changed.',
  plan(guest) {
    const chosen = chooseDevices(guest);
    const { disk_bus, nic_model, virtio } = chosen.devices;
    if (disk_bus === 'ide' && guest.controllers.length > IDE_DISKS)
      throw new Hyper2kvmError(
        'plan.too-many-disks',
        `the guest's kernels can be started from IDE disks only, of which a VM has ${IDE_DISKS}; this one has ${guest.controllers.length} disks`,
        {
          advice: 'Install a kernel with virtio or AHCI drivers in the guest, or drop only its system disks.',
        },
      );
    const warnings: Warning[] = [];
    const warn = (code: string, message: string) => warnings.push({ fixer: NAME, code, message });
    if (virtio === 'transitional')
      warn(
        'devices.transitional',
        `kernel ${[...new Set(legacyKernels(guest))].join(', ')} has no driver for virtio 1.0: the VM gets transitional virtio devices`,
      );
    if (disk_bus !== 'virtio')
      warn(
        'devices.no-virtio',
        `none of the guest's kernels can be started from virtio disks: the VM gets ${disk_bus} disks and an ${nic_model} network card`,
      );
    return { operations: [], warnings, devices: chosen.devices };
  },
};
