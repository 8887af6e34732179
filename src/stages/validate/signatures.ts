import type { BootLevel } from '../../model/boot.js';

/** One known way in which a boot fails. `settleSeconds` gives the guest time to say more, or to go on after all. */
export interface Signature {
  /** Stable: `validate.<signature>` is the error code. */
  signature: string;
  /** Null for what is seen by other means than text (QMP events, time). */
  pattern: RegExp | null;
  /** Reaching a level above this one disproves the failure. */
  within: BootLevel;
  settleSeconds: number;
  /** On an overloaded host a healthy guest may end so: it is tried again alone. */
  underLoad?: boolean;
  /** Neither a failure nor a success: a person is needed. */
  inconclusive?: boolean;
  meaning: string;
  advice: string;
}

/** The more specific stands above the more general: of several that were seen, the first is the verdict. */
export const SIGNATURES: readonly Signature[] = [
  {
    signature: 'panic-no-root',
    pattern: /Kernel panic - not syncing: VFS: Unable to mount root/,
    within: 'login',
    settleSeconds: 1,
    meaning: 'The kernel found no root file system and has no usable initramfs.',
    advice:
      'Check that the initramfs of the default kernel exists and is named in the boot entry, and root= there.',
  },
  {
    signature: 'init-missing',
    pattern:
      /No working init found|Requested init .+ failed|run-init: .*No such file|Target filesystem doesn't have requested|switch_root: .*failed/,
    within: 'kernel',
    settleSeconds: 3,
    meaning: 'The root file system was mounted but has no init program.',
    advice: 'The wrong file system is mounted as root: check root= and, on btrfs, rootflags=subvol=.',
  },
  {
    signature: 'kernel-panic',
    pattern: /Kernel panic - not syncing|Attempted to kill init/,
    within: 'login',
    settleSeconds: 2,
    meaning: 'The kernel stopped with a panic.',
    advice: 'The lines above the panic in boot/serial.log name the cause.',
  },
  {
    signature: 'fsck-manual',
    pattern: /UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY/,
    within: 'userspace',
    settleSeconds: 5,
    meaning: 'A file system is damaged and its check wants a person.',
    advice:
      'The source was not shut down cleanly: shut the VM down on the old hypervisor and export it again.',
  },
  {
    signature: 'initramfs-shell',
    pattern: /^\(initramfs\)|Gave up waiting for (?:the )?root|Dropping to a shell!/,
    within: 'kernel',
    settleSeconds: 3,
    meaning: 'The initramfs did not find the root file system and stopped at its shell.',
    advice:
      'Its drivers lack the disk controller, or root= names a device that does not exist here: see the ALERT line in boot/serial.log; retry with fix.initramfs = "rebuild".',
  },
  {
    signature: 'dracut-emergency',
    pattern:
      /^dracut:\/#|rdsosreport\.txt|Warning: Could not boot|dracut: FATAL|Starting Dracut Emergency Shell/i,
    within: 'kernel',
    settleSeconds: 3,
    meaning:
      'The dracut initramfs did not find what it needs (root, LVM, md) and stopped at its emergency shell.',
    advice:
      'Its drivers lack the disk controller, or root=/rd.lvm.lv= name what does not exist here: see boot/serial.log; retry with fix.initramfs = "rebuild".',
  },
  {
    signature: 'dracut-timeout',
    pattern: /dracut-initqueue.*(?:timeout|starting timeout scripts)/,
    within: 'kernel',
    settleSeconds: 60,
    meaning: 'The dracut initramfs waits for a device that does not come.',
    advice: 'root=, rd.lvm.lv= or rd.md.uuid= name a device that does not exist here: see boot/serial.log.',
  },
  {
    signature: 'grub-rescue',
    pattern: /grub rescue>/,
    within: 'bootloader',
    settleSeconds: 2,
    meaning: 'GRUB did not find its own files and stopped at its rescue prompt.',
    advice:
      'The partition of /boot/grub is missing or has another number or UUID: are all disks of the VM in the drop?',
  },
  {
    signature: 'grub-prompt',
    pattern: /^grub>|Minimal BASH-like line editing is supported/,
    within: 'bootloader',
    settleSeconds: 5,
    meaning: 'GRUB found no configuration and stopped at its prompt.',
    advice:
      'grub.cfg is missing where this GRUB looks: on UEFI, the stub in EFI/<vendor>/grub.cfg or in EFI/BOOT.',
  },
  {
    signature: 'grub-error',
    pattern:
      /error: (?:no such (?:device|partition)|unknown filesystem|file [`'].*not found|disk [`'].*not found|you need to load the kernel first|attempt to read or write outside|can't find command|.*invalid signature)/,
    within: 'bootloader',
    settleSeconds: 45,
    meaning: 'GRUB could not read the kernel or its initramfs.',
    advice: "GRUB's error names the device or file: check the boot entry against the disk's UUIDs.",
  },
  {
    signature: 'loader-no-kernel',
    pattern: /Could not find kernel image|No DEFAULT or UI configuration directive found/,
    within: 'bootloader',
    settleSeconds: 5,
    meaning: 'The boot loader (syslinux family) did not find its kernel or configuration.',
    advice: 'Check extlinux.conf / syslinux.cfg and the files that it names.',
  },
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
    advice: 'The ESP lacks EFI/BOOT/BOOTX64.EFI, or the loader there is refused: look at the ESP’s files.',
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
  {
    signature: 'emergency-mode',
    pattern:
      /You are in (?:emergency|rescue) mode|Welcome to emergency mode|Give root password for maintenance|Cannot open access to console, the root account is locked|Reached target .*Emergency Mode/i,
    within: 'userspace',
    settleSeconds: 3,
    underLoad: true,
    meaning:
      'systemd stopped in emergency mode: something of the early boot failed, mostly a mount of /etc/fstab.',
    advice:
      'The first [FAILED] or [ TIME ] line in boot/serial.log names the unit; check the device in /etc/fstab.',
  },
  {
    signature: 'local-filesystems',
    pattern: /Dependency failed for .*(?:Local File Systems|local-fs\.target)/,
    within: 'userspace',
    settleSeconds: 30,
    underLoad: true,
    meaning: 'A file system of /etc/fstab could not be mounted.',
    advice: 'The lines before it in boot/serial.log name the device; check it in /etc/fstab.',
  },
  {
    signature: 'device-missing',
    // The boot test gives devices ten minutes (see families/linux/evidence.ts), so that a busy host does not matter.
    pattern: /A start job is running for [^/(]*\/dev\/[^(]*\((?:[4-9]|\d\d)min /,
    within: 'userspace',
    settleSeconds: 0,
    meaning: 'systemd waits for a device that does not come.',
    advice:
      'boot/serial.log names the device: the line of /etc/fstab or crypttab with it does not fit this machine.',
  },
  {
    signature: 'init-frozen',
    pattern: /systemd\[1\]: Freezing execution|^!!!!!! Failed to/,
    within: 'login',
    settleSeconds: 3,
    meaning: 'systemd could not go on and froze.',
    advice: 'The line before it in boot/serial.log says what it could not do.',
  },
  {
    signature: 'passphrase-prompt',
    pattern: /Please (?:enter passphrase|unlock disk)|Enter passphrase for|Passphrase for .*:/i,
    within: 'userspace',
    settleSeconds: 20,
    inconclusive: true,
    meaning: 'The guest asks for the passphrase of an encrypted disk.',
    advice: 'Start the VM and enter it, or set validate.required = false for this VM.',
  },
  {
    signature: 'out-of-memory',
    pattern: /Out of memory: Kill(?:ed)? process/,
    within: 'userspace',
    settleSeconds: 120,
    meaning: 'The guest ran out of memory while booting.',
    advice: 'Raise validate.memory_mib or [vm] memory.',
  },
];

const OTHER = {
  'reboot-loop': {
    meaning: 'The guest restarted itself three times without coming to its login.',
    advice: 'boot/serial.log and the screenshots show how far each round came.',
  },
  'powered-off': {
    meaning: 'The guest powered itself off while booting.',
    advice: 'The end of boot/serial.log says who asked for it.',
  },
  'cpu-stopped': {
    meaning: 'QEMU stopped the virtual CPU because of an internal error.',
    advice: 'Try validate.accelerator = "tcg": the host’s virtualization does not run this guest.',
  },
  watchdog: {
    meaning: 'The guest’s watchdog fired: it hangs.',
    advice: 'boot/serial.log shows what it did last.',
  },
  stalled: {
    meaning: 'Nothing moved any more: no console output, no new picture, no disk access.',
    advice: 'The last screenshot and the end of boot/serial.log show where it stands.',
  },
  inconclusive: {
    meaning: 'Whether it booted cannot be said: time ran out while it still moved, or it says nothing.',
    advice:
      'Raise validate.timeout_seconds; for a guest without a readable console look at the last screenshot and set validate.required = false.',
  },
} as const;

export type OtherSignature = keyof typeof OTHER;
export const OTHER_SIGNATURES = Object.keys(OTHER) as OtherSignature[];

export interface Failure {
  signature: string;
  meaning: string;
  advice: string;
}

export function otherFailure(signature: OtherSignature): Failure {
  return { signature, ...OTHER[signature] };
}
