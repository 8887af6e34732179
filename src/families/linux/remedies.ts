import { rank } from '../../model/boot.js';
import type { Kernel } from '../../model/identity.js';
import type { Devices } from '../../model/plan.js';
import { BIOS_OR_UEFI, NO_UEFI_LOADER } from '../base/firmware-remedies.js';
import type { FailedBoot, Remedy } from '../base/remedy.js';
import { isSystemMountpoint } from './fstab.js';
import { GRUB_CONFIG } from './grub-search.js';
import { isComplete } from './kernel.js';

/** The initramfs did not find the root. */
const NO_ROOT = ['initramfs-shell', 'dracut-emergency', 'dracut-timeout', 'nash-no-root'];

const rebuild: Remedy = {
  name: 'rebuild-initramfs',
  signatures: NO_ROOT,
  description:
    'The guest’s own tool builds the initramfs again, where drivers were only appended (`fix.initramfs = "rebuild"`).',
  change: ({ options }) =>
    options.config.fix.initramfs === 'rebuild'
      ? []
      : [
          {
            options: { 'fix.initramfs': 'rebuild' },
            does: 'the guest’s own tool builds the initramfs again',
          },
        ],
};

/** Where GRUB stopped: what it looked for is named, or it had nothing to look for it with. */
const grubSearch: Remedy = {
  name: 'grub-search',
  signatures: ['grub-rescue', 'grub-prompt', 'grub-error'],
  description:
    'GRUB’s `search` for a UUID or label that GRUB said it did not find leads to the filesystem that has the kernel or GRUB’s own directory; where GRUB found no configuration, its stub leads to the one that there is (`fix.grub_search`).',
  change({ boot, options }) {
    const known = options.config.fix.grub_search;
    const named = namesOf(boot).filter((name) => !known.includes(name));
    const isWithout = boot.failure?.signature === 'grub-prompt' && !known.includes(GRUB_CONFIG);
    const changes = named.length === 0 ? [] : [named];
    if (isWithout) changes.push([...named, GRUB_CONFIG]);
    return changes.map((sought) => ({
      options: { 'fix.grub_search': [...known, ...sought] },
      does: `GRUB is led to what it did not find (${sought.join(', ')})`,
    }));
  },
};

const otherKernel: Remedy = {
  name: 'other-kernel',
  signatures: ['panic-no-root', 'kernel-panic', 'grub-error'],
  description:
    'The boot loader’s default entry starts another installed kernel whose initramfs is complete, the newest first (`fix.kernel`).',
  change({ boot, identity, options }) {
    if (options.config.fix.kernel !== '' || rank(boot.level) > rank('kernel') || identity.os_type !== 'linux')
      return [];
    const complete = identity.kernels.filter(isComplete);
    return complete.sort(newestFirst).map(({ version, initramfs }) => {
      const isOnly = identity.kernels.filter((one) => one.version === version).length === 1;
      const name = isOnly ? version : initramfs.path;
      return { options: { 'fix.kernel': name }, does: `the boot loader starts ${name} instead` };
    });
  },
};

const newestFirst = (a: Kernel, b: Kernel): number =>
  b.version.localeCompare(a.version, 'en', { numeric: true });

/** What every kernel of the last fifteen years drives, then what every kernel does. */
const NEXT_DEVICES: Partial<Record<Devices['disk_bus'], 'sata' | 'ide'>> = {
  virtio: 'sata',
  scsi: 'sata',
  sata: 'ide',
};

const otherDevices: Remedy = {
  name: 'sata',
  signatures: [...NO_ROOT, 'panic-no-root'],
  description:
    'The VM gets SATA disks and an e1000e network card instead of virtio; if it has them already, IDE disks and an e1000 (`fix.devices`).',
  change({ devices: { disk_bus }, identity: { architecture } }) {
    const next = NEXT_DEVICES[disk_bus];
    if (next === undefined || (next === 'ide' && architecture === 'aarch64')) return [];
    const card = next === 'sata' ? 'e1000e' : 'e1000';
    const does = `the VM gets ${next.toUpperCase()} disks and an ${card} network card`;
    return [{ options: { 'fix.devices': next }, does }];
  },
};

/** Names that a boot tells are cut to what a file of the guest can hold. */
const MAX_NAMES = 16;

const nofail: Remedy = {
  name: 'nofail',
  signatures: ['emergency-mode', 'local-filesystems', 'device-missing', 'fsck-manual'],
  description:
    'The lines of fstab and crypttab, and the mount units, that the boot names get nofail, and no others (`fix.nofail`). Never /, /usr, /var and /boot.',
  change({ boot, options }) {
    const known = options.config.fix.nofail;
    const named = namesOf(boot).filter((name) => !isSystemMountpoint(name) && !known.includes(name));
    if (named.length === 0) return [];
    const does = `the guest starts without ${named.join(', ')} (nofail)`;
    return [{ options: { 'fix.nofail': [...known, ...named] }, does }];
  },
};

const namesOf = ({ failure }: FailedBoot['boot']): string[] => (failure?.named ?? []).slice(0, MAX_NAMES);

const replaceLoader: Remedy = {
  name: 'uefi-loader',
  signatures: NO_UEFI_LOADER,
  description:
    'An existing `\\EFI\\BOOT\\BOOTX64.EFI`, which the firmware does not start, is replaced by the distribution’s own boot loader (`fix.uefi_loader = "replace"`).',
  change: ({ options }) =>
    options.config.fix.uefi_loader === 'replace'
      ? []
      : [
          {
            options: { 'fix.uefi_loader': 'replace' },
            does: 'the distribution’s boot loader replaces the one that the firmware does not start',
          },
        ],
};

const macNames: Remedy = {
  name: 'mac-names',
  signatures: ['validate.missing-address', 'validate.no-address'],
  description:
    'Every configured interface is bound to a card’s MAC by a udev rule, which goes over the guest’s own .link files; cards that nothing tells apart are taken in order (`fix.interface_names = "mac"`).',
  change: ({ options }) =>
    options.config.fix.interface_names === 'mac'
      ? []
      : [
          {
            options: { 'fix.interface_names': 'mac' },
            does: 'a udev rule binds each interface’s name to a MAC address',
          },
        ],
};

/**
 * What is tried after a boot of a Linux guest that failed, in this order. The pipeline tries two of them at most.
 */
export const REMEDIES: readonly Remedy[] = [
  rebuild,
  grubSearch,
  otherKernel,
  otherDevices,
  nofail,
  replaceLoader,
  ...BIOS_OR_UEFI,
  macNames,
];
