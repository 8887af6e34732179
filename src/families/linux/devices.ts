import { posix } from 'node:path';
import { Hyper2kvmError } from '../../errors/error.js';
import { bootImages } from '../../guest/boot-images.js';
import type { GuestTree } from '../../guest/tree.js';
import { machineArchitecture } from '../../machine/architecture.js';
import type { Identity, Kernel, LinuxIdentity } from '../../model/identity.js';
import type { Devices, Warning } from '../../model/plan.js';
import { DEVICES, IDE_DISKS } from '../base/devices.js';
import type { Fixer, Guest } from '../base/fixer.js';
import { hasInitramfsTool } from './initramfs-tools.js';
import { type ModuleIndex, moduleIndex } from './modules.js';
import { hasUnreadImage } from './unified-images.js';

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

/** All drivers of a set. */
export const driversOf = (set: DeviceSet): string[] => [
  ...set.storage,
  ...set.optionalStorage,
  ...set.network,
];

export const DEVICE_SETS: readonly [DeviceSet, ...DeviceSet[]] = [
  {
    devices: DEVICES.virtio,
    storage: ['virtio_pci', 'virtio_blk'],
    optionalStorage: ['virtio_scsi'],
    network: ['virtio_net'],
  },
  {
    devices: DEVICES.sata,
    storage: ['ahci', 'sd_mod'],
    optionalStorage: [],
    network: ['e1000e'],
  },
  {
    devices: DEVICES.ide,
    storage: ['ata_piix', 'sd_mod'],
    optionalStorage: [],
    network: ['e1000'],
  },
];

/**
 * Returns the best set that the kernel of the boot loader's first entry can boot from, or at least one kernel where
 * that entry's is not known: its drivers are built in, or are modules and an initramfs can load them. If nothing is
 * known of the kernels, or of the one that is started first, it is SATA: virtio is never a guess. So it is with LILO,
 * whose map has the root and the initramfs of the day on which it was last run. It is transitional virtio where one of
 * the kernels that can boot from it predates virtio 1.0: later kernels drive those devices too. A rescue image does
 * not count beside other kernels. fix.devices decides instead where it names a bus.
 */
export function chooseDevices(guest: Pick<Guest, 'tree' | 'identity' | 'options'>): DeviceSet {
  const { tree, identity } = guest;
  const [virtio] = DEVICE_SETS;
  const { machines } = machineArchitecture(identity.architecture);
  const sets = DEVICE_SETS.filter(({ devices }) => machines[devices.disk_bus] !== undefined);
  const known = mainKernels(identity).filter((kernel) => isKnown(kernel, moduleIndex(tree, kernel)));
  const first = firstImage(guest);
  const started = known.filter(({ image }) => image === first);
  const isGuess = isInspected(guest) && (known.length === 0 || (first !== undefined && started.length === 0));
  const wanted = sets.find(({ devices }) => devices.disk_bus === guest.options.devices);
  const others =
    wanted !== undefined
      ? [wanted]
      : isGuess || isLilo(identity)
        ? sets.filter((set) => set !== virtio)
        : sets;
  const set =
    [started, known].flatMap((kernels) =>
      others.filter(({ storage }) => startable(kernels, guest, storage).length > 0),
    )[0] ??
    others[0] ??
    virtio;
  return { ...set, devices: withOldVirtio(set.devices, guest) };
}

/** Returns the devices, transitional where a kernel of the guest needs that. */
export function withOldVirtio(devices: Devices, guest: Pick<Guest, 'tree' | 'identity'>): Devices {
  const isVirtio = devices.disk_bus === 'virtio';
  return isVirtio && legacyKernels(guest).length > 0 ? { ...devices, virtio: 'transitional' } : devices;
}

/** INSPECT finds a kernel in every guest. If there is none, a unified image holds it that cannot be read. */
const isInspected = ({ tree, identity }: Pick<Guest, 'tree' | 'identity'>): boolean =>
  identity.kernels.length > 0 || hasUnreadImage({ tree, identity });

/** True if LILO starts the guest: nothing that it loads changes before it is run again. */
export const isLilo = ({ bootloader }: Pick<Identity, 'bootloader'>): boolean => bootloader === 'lilo';

/** Red Hat's rescue image (`vmlinuz-0-rescue-…`) is the kernel of the installation, and is never updated. */
const isRescue = ({ image }: Kernel): boolean => /rescue/i.test(posix.basename(image));

/** Returns the kernels that the boot menu starts by default or as a fallback: all but rescue images. */
function mainKernels({ kernels }: Pick<LinuxIdentity, 'kernels'>): Kernel[] {
  const main = kernels.filter((kernel) => !isRescue(kernel));
  return main.length > 0 ? main : [...kernels];
}

/** Returns the image of the kernel that the boot loader's first entry starts; undefined where it is none of them. */
function firstImage({ tree, identity }: Pick<Guest, 'tree' | 'identity'>): string | undefined {
  const first = bootImages(tree).find(({ isStarted }) => isStarted)?.image;
  return mainKernels(identity).find(({ image }) => image === first)?.image;
}

const startable = (
  kernels: readonly Kernel[],
  guest: Pick<Guest, 'tree' | 'identity'>,
  drivers: readonly string[],
): Kernel[] => kernels.filter((kernel) => canLoad(kernel, guest, drivers));

/** Returns the versions of the kernels that have drivers for virtio disks, but not for virtio 1.0. */
function legacyKernels(
  guest: Pick<Guest, 'tree' | 'identity'>,
  kernels = mainKernels(guest.identity),
): string[] {
  const [{ storage }] = DEVICE_SETS;
  return startable(kernels, guest, storage)
    .filter((kernel) => !supportsVirtio1(kernel, guest.tree))
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

/** Every distribution's kernel has one of these, built in or as a module. */
const COMMON_DRIVERS = ['sd_mod', 'scsi_mod', 'ext4', 'virtio', 'ahci', 'virtio_blk'];

/** False if neither the kernel's module index nor its configuration nor its initramfs tells its drivers. */
function isKnown({ initramfs, builtin }: Kernel, index: ModuleIndex): boolean {
  if (builtin !== undefined && builtin.length > 0) return true;
  return COMMON_DRIVERS.some(
    (name) =>
      index.isBuiltin(name) || index.path(name) !== null || initramfs?.modules.includes(name) === true,
  );
}

/** Returns whether a kernel can have `drivers` when it looks for its root, with what FIX can do for its initramfs. */
export function canLoad(
  kernel: Kernel,
  guest: Pick<Guest, 'tree' | 'identity'>,
  drivers: readonly string[],
): boolean {
  const { initramfs, builtin = [] } = kernel;
  const index = moduleIndex(guest.tree, kernel);
  const isChangeable = initramfs !== null && canChange(initramfs, guest);
  return drivers.every(
    (name) =>
      index.isBuiltin(name) ||
      builtin.includes(name) ||
      initramfs?.modules.includes(name) === true ||
      (index.path(name) !== null && isChangeable),
  );
}

/** An initramfs with its own list of modules must be built again; LILO loads the one of its last run. */
function canChange(
  { loads }: NonNullable<Kernel['initramfs']>,
  { tree, identity }: Pick<Guest, 'tree' | 'identity'>,
): boolean {
  if (isLilo(identity)) return false;
  return loads !== 'listed' || hasInitramfsTool(tree);
}

export const devices: Fixer = {
  name: NAME,
  whileRunning: true,
  description:
    'Chooses the devices of the new VM by the drivers of the guest’s kernels: virtio, transitional virtio where one of them predates virtio 1.0 (Linux 4.0), or SATA (IDE) disks and an e1000 network card for a kernel that predates virtio, for one whose drivers are not known, and for LILO. fix.devices decides instead where it names a bus. Nothing in the guest is changed.',
  plan(guest) {
    const chosen = chooseDevices(guest);
    const { disk_bus, nic_model, virtio } = chosen.devices;
    if (disk_bus === 'ide' && guest.controllers.length > IDE_DISKS)
      throw new Hyper2kvmError(
        'plan.too-many-disks',
        `the guest's kernels can be started from IDE disks only, of which a VM has ${IDE_DISKS}; this one has ${guest.controllers.length} disks`,
      );
    const warnings: Warning[] = [];
    const warn = (code: string, message: string) => warnings.push({ fixer: NAME, code, message });
    if (virtio === 'transitional')
      warn(
        'devices.transitional',
        `kernel ${[...new Set(legacyKernels(guest))].join(', ')} has no driver for virtio 1.0: the VM gets transitional virtio devices`,
      );
    const rescue =
      disk_bus === 'virtio' && virtio !== 'transitional' ? legacyKernels(guest, guest.identity.kernels) : [];
    if (rescue.length > 0)
      warn(
        'devices.rescue-kernel',
        `the rescue image (kernel ${rescue.join(', ')}) has no driver for virtio 1.0: that entry of the boot menu does not find its disk on KVM`,
      );
    const bus = `the VM gets ${disk_bus} disks and an ${nic_model} network card`;
    const unknown = unknownKernels(guest);
    if (unknown.length > 0)
      warn(
        'devices.unknown-kernel',
        `${unknown.join(', ')}: neither modules nor a configuration file show which disks this kernel supports${disk_bus === 'virtio' ? '' : `: ${bus}`}. The boot test shows whether it starts`,
      );
    if (isLilo(guest.identity))
      warn(
        'boot.lilo',
        `LILO starts the kernel, initramfs and root of its last run, whatever /etc/lilo.conf says now: ${bus}, with which they work unchanged. For virtio disks, add virtio_blk to the initramfs, set root= in /etc/lilo.conf to a UUID and run lilo in the guest`,
      );
    else if (disk_bus !== 'virtio' && unknown.length === 0)
      warn('devices.no-virtio', `none of the guest's kernels can be started from virtio disks: ${bus}`);
    return { operations: [], warnings, devices: chosen.devices };
  },
};

/** Returns the images of kernels whose drivers are not known. */
function unknownKernels({ tree, identity }: Guest): string[] {
  if (identity.kernels.length === 0)
    return hasUnreadImage({ tree, identity }) ? ['a unified image that cannot be read'] : [];
  return identity.kernels
    .filter((kernel) => !isKnown(kernel, moduleIndex(tree, kernel)))
    .map(({ image, version }) => (version === 'unknown' ? image : `${image} (${version})`));
}
