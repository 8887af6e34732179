import { ESP_TYPES } from '../../guest/esp.js';
import { hasBiosLoader } from './as-is.js';
import type { Remedy } from './remedy.js';

/** UEFI found nothing that it could start. */
export const NO_UEFI_LOADER = ['uefi-shell', 'uefi-no-loader'];

const bios: Remedy = {
  name: 'bios',
  signatures: NO_UEFI_LOADER,
  description:
    'The VM gets a BIOS where the disk has a boot loader for one, too: a BIOS boot partition, or an active one (`[vm] firmware = "bios"`).',
  change({ boot, identity, options }) {
    const isChosen = options.vm.firmware !== undefined || identity.architecture === 'aarch64';
    if (isChosen || boot.firmware !== 'uefi' || !hasBiosLoader(identity)) return [];
    return [
      {
        options: { 'vm.firmware': 'bios' },
        does: 'the VM gets a BIOS, which the disk has a boot loader for',
      },
    ];
  },
};

const uefi: Remedy = {
  name: 'uefi',
  signatures: ['no-bootable-device'],
  description: 'The VM gets UEFI where the disk has an EFI system partition (`[vm] firmware = "uefi"`).',
  change({ boot, identity, options }) {
    if (options.vm.firmware !== undefined || boot.firmware !== 'bios') return [];
    const hasEsp = identity.filesystems.some(
      ({ type, parttype }) => type === 'vfat' && ESP_TYPES.has(parttype ?? ''),
    );
    if (!hasEsp) return [];
    return [
      {
        options: { 'vm.firmware': 'uefi' },
        does: 'the VM gets UEFI, for which the disk has a system partition',
      },
    ];
  },
};

/** The other firmware, where the disk can be started by either. The same for every family. */
export const BIOS_OR_UEFI: readonly Remedy[] = [bios, uefi];
