import type { Fixer } from './base/fixer.js';
import { bootEntries } from './linux/boot-entries.js';
import { crypttab } from './linux/crypttab.js';
import { deviceMap } from './linux/device-map.js';
import { devices } from './linux/devices.js';
import { extlinux } from './linux/extlinux.js';
import { fstab } from './linux/fstab.js';
import { grubLegacy } from './linux/grub-legacy.js';
import { grub2 } from './linux/grub2.js';
import { guestAgent } from './linux/guest-agent.js';
import { initramfs } from './linux/initramfs.js';
import { network } from './linux/network.js';
import { otherHypervisors } from './linux/other-hypervisors.js';
import { resume } from './linux/resume.js';
import { serialConsole } from './linux/serial-console.js';
import { blkidCache, lvm, mdadm } from './linux/storage.js';
import { uefiFallback } from './linux/uefi-fallback.js';
import { vmware } from './linux/vmware.js';

/** Every fixer, in the order they run: names of devices, boot loader, drivers, network, residue. */
export const FIXERS: readonly Fixer[] = [
  devices,
  fstab,
  crypttab,
  resume,
  grub2,
  bootEntries,
  grubLegacy,
  extlinux,
  deviceMap,
  serialConsole,
  lvm,
  mdadm,
  blkidCache,
  initramfs,
  // What it copies may be an image that those before it change.
  uefiFallback,
  network,
  vmware,
  otherHypervisors,
  guestAgent,
];
