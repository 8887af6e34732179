import type { LevelPattern, Signature } from './boot-patterns.js';

/** Messages of the firmware, the same for every guest: SeaBIOS (src/boot.c), EDK II (BdsEntry.c). */
export const FIRMWARE_LEVELS: readonly LevelPattern[] = [
  { level: 'firmware', pattern: /^SeaBIOS \(version|^iPXE |BdsDxe: |UEFI Interactive Shell|TianoCore/ },
];

export const FIRMWARE_SIGNATURES: readonly Signature[] = [
  {
    signature: 'windows-loader',
    pattern: /BOOTMGR is missing|NTLDR is missing|A disk read error occurred/,
    within: 'bootloader',
    settleSeconds: 5,
    meaning: 'The Windows boot sector did not find the boot manager.',
    advice:
      'The system partition is missing, or the disk order changed: are all disks of the VM in the drop?',
  },
  {
    signature: 'uefi-shell',
    pattern: /UEFI Interactive Shell|^Shell> ?$/,
    within: 'firmware',
    settleSeconds: 3,
    meaning: 'The UEFI firmware found no boot loader and started its own shell.',
    advice:
      'The ESP lacks EFI/BOOT/BOOTX64.EFI, or there is no ESP: if the VM used BIOS, set [vm] firmware = "bios".',
  },
  {
    signature: 'uefi-no-loader',
    pattern: /BdsDxe: (?:failed to (?:load|start) Boot|No bootable option)/,
    within: 'firmware',
    settleSeconds: 45,
    meaning: 'The UEFI firmware could not start any boot entry.',
    advice:
      'The ESP lacks EFI/BOOT/BOOTX64.EFI, or the firmware refuses the loader there: check the files on the ESP.',
  },
  {
    signature: 'no-bootable-device',
    pattern:
      /No bootable device|Boot failed: (?:not a bootable disk|could not read the boot disk)|Missing operating system|Operating system not found|Error loading operating system/i,
    within: 'firmware',
    settleSeconds: 5,
    meaning: 'The BIOS found no boot sector on any disk.',
    advice:
      'The boot disk is not in the drop or not the first, its MBR is empty, or the VM used UEFI: set [vm] firmware = "uefi".',
  },
];
