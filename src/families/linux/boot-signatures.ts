import type { Signature } from '../base/boot-patterns.js';
import { FIRMWARE_SIGNATURES } from '../base/firmware-patterns.js';

export const KERNEL_PANIC: Signature = {
  signature: 'kernel-panic',
  // `not syncing` since Linux 2.6.
  pattern: /Kernel panic(?: - not syncing)?:|---\[ end Kernel panic|Attempted to kill init/,
  within: 'login',
  settleSeconds: 2,
  meaning: 'The kernel stopped with a panic.',
  advice: 'The lines above the panic in boot/serial.log name the cause.',
};

/**
 * The shells of initramfs-tools, mkinitcpio (init_functions), mkinitfs (initramfs-init), SUSE's mkinitrd
 * (boot-start.sh, boot-mount.sh), genkernel (linuxrc), booster and tinyramfs, by their own messages, those of
 * busybox, dash and bash without a controlling terminal, and the end of tiny-initramfs, which has no shell.
 */
const SHELL = new RegExp(
  [
    String.raw`^\(initramfs\)|Gave up waiting for (?:the )?root|Dropping to a shell!`,
    String.raw`now being dropped into an emergency shell|Failed to mount the real root device|^\[(?:rootfs|ramfs) [^\]]{0,80}\][#$]`,
    'emergency recovery shell',
    String.raw`-- exiting to \/|^Want me to fall back to `,
    String.raw`Could not find the root block device in|is not a valid root device\.\.\.`,
    "can't access tty; job control turned off|no job control in this shell",
    String.raw`^Press ENTER to reboot|^BusyBox v\S.{0,80} built-in shell `,
    'failed to lookup partition:|Will cause kernel panic in ',
  ].join('|'),
);

/**
 * systemd's messages about mounts that failed. Since version 246 the unit's name comes before its description (the
 * path), and either may be cut in the middle to fit the console.
 */
const FAILED_MOUNT =
  /(?:Failed to mount|Dependency failed for) (?:\S{1,255} - )?(\/(?!dev\/)\S{0,255}[^\s.])\.?$/;
/** The device that systemd has waited for, or what is left of its name. */
const AWAITED_DEVICE = /A start job is running for (?:\S{1,255} - )?(\S{1,255}) \((?:[4-9]|\d\d)min /;

/** Since version 2.12 the place in GRUB's own source stands before its message. */
const GRUB_SOURCE = String.raw`(?:[\w./-]{1,200}:\d{1,6}: ?)?`;
/** The UUID or label of the filesystem that GRUB's `search` did not find. */
const SOUGHT_BY_GRUB = new RegExp(`error: ${GRUB_SOURCE}no such device: (\\S{1,128}?)\\.?(?=\\s|$|error:)`);
const GRUB_ERROR = new RegExp(
  `error: ${GRUB_SOURCE}(?:no such (?:device|partition)|unknown filesystem|file [\`'].*not found|disk [\`'].*not found|you need to load the kernel first|attempt to read or write outside|can't find command|.*invalid signature)`,
);

/** The ways in which the boot of a Linux guest fails, ordered from specific to general. */
export const SIGNATURES: readonly Signature[] = [
  {
    signature: 'panic-no-root',
    pattern: /Kernel panic(?: - not syncing)?: VFS: Unable to mount root/,
    within: 'login',
    settleSeconds: 1,
    meaning: 'The kernel found no root file system and has no usable initramfs.',
    advice:
      'Check that the initramfs of the default kernel exists and is named in the boot entry, and root= there.',
  },
  {
    signature: 'nash-no-root',
    // Red Hat's mkinitrd (nash.c); a panic follows, whose lines say less.
    pattern:
      /mount: could not find filesystem '?\/dev\/root'?|mount: error .*mounting \/dev\/root on \/sysroot|setuproot: moving \/dev failed|switchroot: mount failed/i,
    within: 'kernel',
    settleSeconds: 2,
    meaning: 'The initrd of Red Hat’s old mkinitrd did not find the root file system.',
    advice:
      'It loads only the modules on its own list, which has no driver for the disk controller: build it again in the guest (`mkinitrd --with=virtio_pci --with=virtio_blk`).',
  },
  {
    signature: 'init-missing',
    pattern:
      /No working init found|Requested init .+ failed|run-init: .*No such file|Target filesystem doesn't have requested|switch_root: .*failed|Root device mounted successfully, but .+ does not exist|\/sbin\/init not found in new root/,
    within: 'kernel',
    settleSeconds: 3,
    meaning: 'The root file system was mounted but has no init program.',
    advice: 'The wrong file system is mounted as root: check root= and, on btrfs, rootflags=subvol=.',
  },
  KERNEL_PANIC,
  {
    signature: 'fsck-manual',
    pattern: /UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY/,
    within: 'userspace',
    settleSeconds: 5,
    meaning: 'A file system is damaged; fsck must be run by hand.',
    advice:
      'The source was not shut down cleanly: shut the VM down on the old hypervisor and export it again.',
    names: FAILED_MOUNT,
  },
  {
    signature: 'initramfs-shell',
    pattern: SHELL,
    within: 'kernel',
    settleSeconds: 3,
    meaning: 'The initramfs did not find the root file system and stopped at its shell.',
    advice:
      'It lacks the driver for the disk controller, or root= names a device that does not exist here: see the ALERT line in boot/serial.log; retry with fix.initramfs = "rebuild".',
  },
  {
    signature: 'dracut-emergency',
    pattern:
      /^dracut:\/#|rdsosreport\.txt|Warning: Could not boot|dracut: FATAL|Starting Dracut Emergency Shell|dracut Warning: (?:No root device|Boot has failed)|Dropping to debug shell|Entering emergency mode\. Exit the shell/i,
    within: 'kernel',
    settleSeconds: 3,
    meaning:
      'The dracut initramfs did not find what it needs (root, LVM, md) and stopped at its emergency shell.',
    advice:
      'It lacks the driver for the disk controller, or root=/rd.lvm.lv= name what does not exist here: see boot/serial.log; retry with fix.initramfs = "rebuild".',
  },
  {
    signature: 'dracut-timeout',
    pattern: /dracut-initqueue.*(?:timeout|starting timeout scripts)/,
    within: 'kernel',
    settleSeconds: 60,
    meaning: 'The dracut initramfs waits for a device that does not appear.',
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
    names: SOUGHT_BY_GRUB,
  },
  {
    signature: 'grub-prompt',
    pattern: /^grub>|Minimal BASH-like line editing is supported/,
    within: 'bootloader',
    settleSeconds: 5,
    meaning: 'GRUB found no configuration and stopped at its prompt.',
    advice:
      'grub.cfg is missing where this GRUB looks: on UEFI, the stub in EFI/<vendor>/grub.cfg or in EFI/BOOT.',
    names: SOUGHT_BY_GRUB,
  },
  {
    signature: 'grub-error',
    pattern: GRUB_ERROR,
    within: 'bootloader',
    settleSeconds: 45,
    meaning: 'GRUB could not read the kernel or its initramfs.',
    advice: "GRUB's error names the device or file: check the boot entry against the disk's UUIDs.",
    names: SOUGHT_BY_GRUB,
  },
  {
    signature: 'loader-no-kernel',
    pattern: /Could not find kernel image|No DEFAULT or UI configuration directive found/,
    within: 'bootloader',
    settleSeconds: 5,
    meaning: 'The boot loader (syslinux family) did not find its kernel or configuration.',
    advice: 'Check extlinux.conf / syslinux.cfg and the files that it names.',
  },
  ...FIRMWARE_SIGNATURES,
  {
    signature: 'emergency-mode',
    pattern:
      /You are in (?:emergency|rescue) mode|Welcome to emergency mode|Give root password for maintenance|Cannot open access to console, the root account is locked|Reached target .*Emergency Mode/i,
    within: 'userspace',
    settleSeconds: 3,
    underLoad: true,
    meaning:
      'systemd stopped in emergency mode: an early part of the boot failed, most often a mount in /etc/fstab.',
    advice:
      'The first [FAILED] or [ TIME ] line in boot/serial.log names the unit; check the device in /etc/fstab.',
    names: FAILED_MOUNT,
  },
  {
    signature: 'local-filesystems',
    pattern: /Dependency failed for .*(?:Local File Systems|local-fs\.target)/,
    within: 'userspace',
    settleSeconds: 30,
    underLoad: true,
    meaning: 'A file system of /etc/fstab could not be mounted.',
    advice: 'The lines before it in boot/serial.log name the device; check it in /etc/fstab.',
    names: FAILED_MOUNT,
  },
  {
    signature: 'device-missing',
    // The boot test lets systemd wait ten minutes for devices (evidence.ts), so a busy host does not match.
    // Of a long name only the end may be left: that of a UUID, or a partition's number.
    pattern:
      /A start job is running for (?:[^/(]*\/dev\/[^(]*|[^\s….]{0,64}(?:…|\.{3})[^(…]{0,80}(?<=[0-9a-fA-F]{8}|-part\d{1,3})) ?\((?:[4-9]|\d\d)min /,
    names: AWAITED_DEVICE,
    within: 'userspace',
    settleSeconds: 0,
    meaning: 'systemd waits for a device that does not appear.',
    advice: 'boot/serial.log names the device: its line in /etc/fstab or crypttab does not match the new VM.',
  },
  {
    signature: 'init-frozen',
    pattern: /systemd\[1\]: Freezing execution|^!!!!!! Failed to/,
    within: 'login',
    settleSeconds: 3,
    meaning: 'systemd hit a fatal error and froze.',
    advice: 'The line before it in boot/serial.log names the error.',
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
