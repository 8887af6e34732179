import type { LevelPattern } from '../base/boot-patterns.js';
import { FIRMWARE_LEVELS } from '../base/firmware-patterns.js';
import { LOGIN_PROMPTS } from './login-prompts.js';

/**
 * The messages that show which level a boot has reached, as the programs themselves print them: GRUB (boot.S,
 * normal/main.c), Linux (init/version.c), initramfs-tools (/usr/share/initramfs-tools/init), systemd
 * (src/core/main.c), agetty.
 */
export const LEVEL_PATTERNS: readonly LevelPattern[] = [
  ...FIRMWARE_LEVELS,
  {
    level: 'bootloader',
    pattern:
      /^GRUB\b|Welcome to GRUB|GNU GRUB +version|^(?:SYS|ISO|EXT)LINUX \d|^LILO |Loading Linux \d|^ *Booting `|Loading initial ramdisk|grub rescue>|^grub>/,
  },
  {
    level: 'kernel',
    // Messages of the initramfs also prove that its kernel runs: a kernel may print nothing to the screen.
    pattern:
      /Linux version \d+\.|^\[ *\d+\.\d{6}\] |^EFI stub: |^Loading, please wait\.\.\.|^\(initramfs\)|Gave up waiting for root|^dracut[: -]|^:: (?:running|mounting|Triggering) |^\[rootfs |^Alpine Init \d|^Red Hat nash version/,
  },
  {
    level: 'root',
    pattern:
      /Running \/scripts\/(?:local|nfs|init)-bottom|VFS: Mounted root|Switch(?:ed|ing) root\b|^INIT: version \d.* booting|OpenRC [\d.]+ is starting/i,
  },
  {
    level: 'root',
    pattern: /^Welcome to (?!GRUB).+!$/,
    afterInitramfs: true,
  },
  {
    level: 'userspace',
    pattern:
      /\bReached target |\] Started |systemd\[1\]: (?:Started|Starting|Reached) |^INIT: Entering runlevel|^ \* Starting |^Starting (?!(?:systemd-udevd )?version )\S/,
    // udev says its version in an initramfs without any other sign (mkinitcpio).
    afterInitramfs: true,
  },
  ...LOGIN_PROMPTS,
];

/**
 * The beginning of an initramfs: it starts udev, and dracut's runs systemd with targets and services that are
 * not the guest's. That systemd names the architecture and the host name too, so only its greeting tells the
 * two apart.
 */
export const INITRAMFS_BEGINS =
  /^Loading, please wait\.\.\.|Running in init(?:rd|ial RAM disk)|Welcome to .*\((?:initramfs|initrd)\)|dracut-(?:cmdline|pre-udev|initqueue)|dracut version/i;
export const INITRAMFS_ENDS = /Running \/scripts\/init-bottom|Switch(?:ed|ing)? root/i;
