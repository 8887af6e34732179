import type { BootPatterns, LevelPattern, Signature } from '../base/boot-patterns.js';
import { linux } from '../linux/family.js';

/**
 * What shows that a boot came to a level, by the programs' own texts: the BSDs' loaders and kernels, FreeBSD's
 * rc, pfSense's menu, ESXi's console, DOS.
 */
const LEVELS: readonly LevelPattern[] = [
  {
    level: 'bootloader',
    pattern:
      /^>> (?:FreeBSD|OpenBSD|NetBSD|DragonFly)\/|^BTX loader |Welcome to FreeBSD|FreeBSD\/\S+ (?:EFI|bootstrap) loader|^boot>|^Starting MS-DOS|^FreeDOS kernel|^Loading ESXi/,
  },
  {
    level: 'kernel',
    pattern:
      /^---<<BOOT>>---|^Copyright \(c\) \d{4}[-,\d ]+The (?:FreeBSD Project|NetBSD Foundation|Regents of the University)|^(?:FreeBSD|OpenBSD|NetBSD|DragonFly) \d+\.\d|^SunOS Release \d|^OpenIndiana |^SMP: AP CPU|^VMware ESXi \d/,
  },
  {
    level: 'root',
    pattern: /^Trying to mount root from |^root on (?:sd|wd|ld|dk|raid)\d|^root file system type: /,
  },
  {
    level: 'userspace',
    pattern:
      /^Starting file system checks|^Mounting local file ?systems|^Setting hostname|^starting network|^Hostname: /,
  },
  {
    level: 'login',
    pattern:
      /^(?!Last )(?:\S{1,64} (?:console )?)?login:(?: |$)|^Enter an option: ?$|^Please press Enter to activate this console|<F2> Customize System|^[A-Z]:\\>/,
  },
];

const SIGNATURES: readonly Signature[] = [
  {
    signature: 'bsd-mountroot',
    pattern: /^mountroot>/,
    within: 'root',
    settleSeconds: 10,
    meaning: 'FreeBSD did not find its root file system and asks for it.',
    advice:
      'Its /etc/fstab or loader.conf names the disk by its old controller (/dev/da0p2). On the old hypervisor name it by label or by its id (/dev/gpt/…, /dev/ufsid/…), then drop it again.',
  },
  {
    signature: 'bsd-single-user',
    pattern: /^Enter (?:full )?pathname of shell or RETURN/i,
    within: 'userspace',
    settleSeconds: 10,
    meaning: 'The system stopped in single-user mode.',
    advice:
      'A line of its /etc/fstab names a disk that is not there under that name, or a file system needs fsck: see boot/serial.log and the screenshots.',
  },
  {
    signature: 'bsd-no-kernel',
    pattern: /^can't (?:load|find) '(?:kernel|\/boot)|^Can't find \/boot\/|^boot: \S+: No such file/,
    within: 'bootloader',
    settleSeconds: 10,
    meaning: 'The boot loader found no kernel.',
    advice: 'Are all disks of the VM in the drop?',
  },
  {
    signature: 'bsd-debugger',
    pattern: /^(?:ddb(?:\{\d+\})?>|db(?:\{\d+\})?>)|^panic(?:\[cpu\d+\]\S*)?: /,
    within: 'login',
    settleSeconds: 10,
    meaning: 'The kernel stopped with a panic.',
    advice: 'The lines before it in boot/serial.log say why.',
  },
];

/** Which of all those systems it is may not be known: the texts of Linux count as well. */
export const BOOT_PATTERNS: BootPatterns = {
  ...linux.boot,
  levels: [...linux.boot.levels, ...LEVELS],
  signatures: [...SIGNATURES, ...linux.boot.signatures],
};
