import type { Fixer } from '../base/fixer.js';
import { blkidCache } from './blkid-cache.js';
import { bootEntries } from './boot-entries.js';
import { cloudInit } from './cloud-init.js';
import { crypttab } from './crypttab.js';
import { deviceMap } from './device-map.js';
import { devices } from './devices.js';
import { driverExclusions } from './driver-exclusions.js';
import { extlinux } from './extlinux.js';
import { fstab } from './fstab.js';
import { grubLegacy } from './grub-legacy.js';
import { grubSearch } from './grub-search.js';
import { grub2 } from './grub2.js';
import { guestAgent } from './guest-agent.js';
import { initramfs } from './initramfs.js';
import { kernel } from './kernel.js';
import { lvm } from './lvm.js';
import { mdadm } from './mdadm.js';
import { network } from './network.js';
import { otherHypervisors } from './other-hypervisors.js';
import { resume } from './resume.js';
import { serialConsole } from './serial-console.js';
import { systemdUnits } from './systemd-units.js';
import { uefiFallback } from './uefi-fallback.js';
import { vmware } from './vmware.js';

/**
 * All fixers of a Linux guest, in the order in which they run: device names, boot loader, drivers, network,
 * residue.
 */
export const FIXERS: readonly Fixer[] = [
  devices,
  fstab,
  systemdUnits,
  crypttab,
  resume,
  grub2,
  grubSearch,
  bootEntries,
  grubLegacy,
  extlinux,
  kernel,
  deviceMap,
  serialConsole,
  lvm,
  mdadm,
  blkidCache,
  driverExclusions,
  initramfs,
  // Runs after the fixers that may change the image that it copies.
  uefiFallback,
  network,
  cloudInit,
  vmware,
  otherHypervisors,
  guestAgent,
];
