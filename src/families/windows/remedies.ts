import { BIOS_OR_UEFI } from '../base/firmware-remedies.js';
import type { Remedy } from '../base/remedy.js';
import { stopped } from './boot-signatures.js';
import { VISTA } from './own-drivers.js';

const INACCESSIBLE_BOOT_DEVICE = 0x7b;

const ownController: Remedy = {
  name: 'windows-sata',
  signatures: [stopped(INACCESSIBLE_BOOT_DEVICE).signature],
  description:
    'Windows, which found no driver for its virtio disk, gets SATA disks and an e1000e network card; before Vista, IDE disks and an e1000 (`fix.devices`).',
  change({ devices: { disk_bus }, identity }) {
    if (identity.os_type !== 'windows' || disk_bus !== 'virtio') return [];
    const [next, card] = identity.build < VISTA ? ['ide', 'e1000'] : ['sata', 'e1000e'];
    const does = `the VM gets ${next.toUpperCase()} disks and an ${card} network card`;
    return [{ options: { 'fix.devices': next }, does }];
  },
};

/** What is tried after a boot of Windows that failed, in this order. */
export const REMEDIES: readonly Remedy[] = [ownController, ...BIOS_OR_UEFI];
