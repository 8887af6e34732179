import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { linux } from '../../../../src/families/linux/family.js';
import { BootRecogniser, type RecogniserLimits } from '../../../../src/stages/validate/recogniser.js';

const LIMITS: RecogniserLimits = { timeoutSeconds: 600, evidenceSeconds: 0 };
const { levels: LEVELS, signatures: SIGNATURES } = linux.boot;
const MIB = 1024 * 1024;

const recogniserOf = (limits: Partial<RecogniserLimits> = {}) =>
  new BootRecogniser({ ...LIMITS, ...limits }, linux.boot);

/** From a real boot of Debian 12 (initramfs-tools, systemd 252) in QEMU, shortened. */
const DEBIAN_KERNEL = '[    0.000000] Linux version 6.1.0-50-amd64 (debian-kernel@lists.debian.org)\r\n';
const DEBIAN_INITRAMFS =
  'Loading, please wait...\r\nStarting systemd-udevd version 252.39-1~deb12u2\r\r\n' +
  'Begin: Loading essential drivers ... done.\r\n' +
  'Begin: Mounting root file system ... Begin: Running /scripts/local-top ... done.\r\n';
const DEBIAN_ROOT =
  '[    7.166790] EXT4-fs (vda2): mounted filesystem with ordered data mode. Quota mode: none.\r\ndone.\r\n' +
  'Begin: Running /scripts/local-bottom ... done.\r\nBegin: Running /scripts/init-bottom ... done.\r\n' +
  '[    8.352392] systemd[1]: Detected architecture x86-64.\r\n' +
  '\r\nWelcome to \x1b[1mDebian GNU/Linux 12 (bookworm)\x1b[0m!\r\n\r\r\n';
const DEBIAN_USERSPACE =
  '[\x1b[0;32m  OK  \x1b[0m] Reached target \x1b[0;1;39mnetwork.target\x1b[0m - Network.\r\r\n';
const DEBIAN_LOGIN = '\r\r\nDebian GNU/Linux 12 web01 ttyS0\r\n\r\nweb01 login: ';
const DEBIAN = DEBIAN_KERNEL + DEBIAN_INITRAMFS + DEBIAN_ROOT + DEBIAN_USERSPACE + DEBIAN_LOGIN;
const REPORT =
  '\r\nHYPER2KVM-EVIDENCE-BEGIN\r\n== state\r\nrunning\r\nactive\r\n== mounts\r\n/dev/vda2 / ext4 rw 0 0\r\nHYPER2KVM-EVIDENCE-END\r\n';

/** dracut's systemd says the same words as the guest's own, earlier (Fedora's, shortened). */
const DRACUT =
  '[    1.0] x\r\n[    1.100000] systemd[1]: Detected architecture x86-64.\r\n' +
  '[    1.100001] systemd[1]: Running in initrd.\r\n\r\nWelcome to Fedora Linux 39 dracut-059 (Initramfs)!\r\n' +
  '[    1.200000] systemd[1]: Hostname set to <localhost>.\r\n[  OK  ] Reached target Local File Systems.\r\n' +
  '[  OK  ] Started dracut-initqueue.service.\r\n';
const DRACUT_SWITCH =
  '[  OK  ] Reached target initrd-switch-root.target - Switch Root.\r\n         Starting initrd-switch-root.service - Switch Root...\r\n' +
  '[    5.000000] systemd-journald[200]: Received SIGTERM\r\n\r\nWelcome to Fedora Linux 39!\r\n';

function boot(text: string, limits: Partial<RecogniserLimits> = {}, at = 10): BootRecogniser {
  const recogniser = recogniserOf(limits);
  recogniser.serial(Buffer.from(text), at);
  return recogniser;
}

const event = (name: string, data: Record<string, unknown> = { guest: true }) => ({ name, data, seconds: 0 });

describe('levels', () => {
  it('come in order from a real boot, each with its evidence', () => {
    const recogniser = recogniserOf();
    recogniser.firmware(Buffer.from('SeaBIOS (version 1.16.2)\n'), 0.1);
    recogniser.screen('   GNU GRUB  version 2.06', 1);
    [DEBIAN_KERNEL, DEBIAN_INITRAMFS, DEBIAN_ROOT, DEBIAN_USERSPACE, DEBIAN_LOGIN].forEach((text, index) => {
      recogniser.serial(Buffer.from(text), index + 2);
    });
    expect(recogniser.evidence.map(({ level, at_seconds, source }) => [level, at_seconds, source])).toEqual([
      ['firmware', 0.1, 'firmware'],
      ['bootloader', 1, 'screen'],
      ['kernel', 2, 'serial'],
      ['root', 4, 'serial'],
      ['userspace', 5, 'serial'],
      ['login', 6, 'serial'],
    ]);
    expect(recogniser.verdict(6)).toEqual({ verdict: 'booted', failure: null, underLoad: false });
  });

  it('do not take what an initramfs starts for the guest', () => {
    expect(boot(DEBIAN_KERNEL + DEBIAN_INITRAMFS).level).toBe('kernel');
    const recogniser = boot(DRACUT);
    expect(recogniser.level).toBe('kernel');
    recogniser.serial(Buffer.from(DRACUT_SWITCH), 20);
    expect(recogniser.level).toBe('root');
    recogniser.serial(Buffer.from('[  OK  ] Started sshd.service.\r\n'), 21);
    expect(recogniser.level).toBe('userspace');
  });

  it('are the same wherever the bytes are cut', () => {
    const bytes = Buffer.from(DEBIAN);
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 8 }), (cuts) => {
        const recogniser = recogniserOf();
        const edges = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        edges.slice(1).forEach((end, index) => {
          recogniser.serial(bytes.subarray(edges[index], end), index);
        });
        expect(recogniser.evidence.map(({ level }) => level)).toEqual([
          'kernel',
          'root',
          'userspace',
          'login',
        ]);
      }),
      { numRuns: 50 },
    );
  });

  it('are known from any text without a crash, and random text is no login', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
        const recogniser = recogniserOf();
        recogniser.serial(Buffer.from(bytes), 1);
        expect(recogniser.level).not.toBe('login');
      }),
    );
  });
});

/** What agetty, mingetty, busybox, FreeBSD's getty and others print, with what may stand before it. */
const PROMPTS = [
  'web01 login: ',
  'web01.example.com login: ',
  'WEB_01 login: ',
  '(none) login: ',
  'localhost login:',
  'bücher login: ',
  'last login: ',
  'Amnesiac login: ',
  'console login: ',
  'login: ',
  'Login: ',
  'FreeBSD/amd64 (Amnesiac) (ttyu0)\r\n\r\nlogin: ',
  'Welcome to Alpine Linux 3.23\r\nKernel 6.18.1 on x86_64 (/dev/ttyS0)\r\n\r\n(none) login: ',
  // mingetty and agetty print /etc/issue as it is: without a line end the prompt stands behind it.
  'CentOS release 6.10 (Final) web01 login: ',
  'Ubuntu 22.04.3 LTS web01 ttyS0 web01 login: ',
  'Authorised use only: all access is logged. web01 login: ',
  'IP: 192.0.2.10 web01 login: ',
  '\x1b[H\x1b[Jweb01 login: ',
  'web01 login: [   20.123456] random: crng init done\r\n',
  'web01 login: [  OK  ] Finished cloud-final.service.\r\n',
  'archiso login: root (automatic login)\r\n',
];
/** The same word, and no prompt. */
const OTHER_LINES = [
  'Last login: Sun Nov 22 10:00:00 UTC 2026 on ttyS0\r\n',
  'Last login:',
  'Last failed login:',
  'There was 1 failed login:',
  'systemd-logind: new login: root',
  'systemd-logind[412]: New session 1 of user root, login:',
  'systemd-logind: web01 login:',
  'login: timed out after 60 seconds\r\n',
  'Login timed out after 60 seconds\r\n',
  '[   12.345678] systemd[1]: getty login:\r\n',
  '[   12.345678] login:\r\n',
  '<6>login:\r\n',
  '[  OK  ] Started web login:\r\n',
  ' * Starting login:',
  'Starting web login:',
  'Starting login: [  OK  ]',
  'Nov 27 10:00:00 web01 sshd[99]: bad login:\r\n',
  '2026-11-27T10:00:00Z web01 login:\r\n',
  'sshd[99]: login:\r\n',
  'sshd: login:',
  'cloud-init: web01 login:',
  'type your login: and then the password',
  'web01 login: root',
  'weblogin: ',
];

describe('a login prompt', () => {
  it.each(PROMPTS)('is %j', (text) => {
    const recogniser = boot(DEBIAN_KERNEL + text);
    expect([recogniser.level, recogniser.verdict(11)?.verdict]).toEqual(['login', 'booted']);
  });

  it.each(OTHER_LINES)('is not %j', (text) => {
    expect(boot(DEBIAN_KERNEL + text).level).not.toBe('login');
  });

  it('is read off the screen', () => {
    const recogniser = recogniserOf();
    recogniser.screen('Welcome to Alpine Linux 3.23\n\n(none) login:', 40);
    expect(recogniser.level).toBe('login');
  });
});

describe('what the guest says of itself', () => {
  it('is waited for after the login prompt, as long as its limit', () => {
    const recogniser = boot(DEBIAN, { evidenceSeconds: 90 }, 10);
    expect(recogniser.verdict(99)).toBeNull();
    expect(recogniser.verdict(100)?.verdict).toBe('booted');
    expect(recogniser.guestText).toBeNull();
  });

  it('ends the wait', () => {
    const recogniser = boot(DEBIAN, { evidenceSeconds: 90 }, 10);
    recogniser.serial(Buffer.from(REPORT), 12);
    expect(recogniser.verdict(12)?.verdict).toBe('booted');
    expect(recogniser.guestText).toContain('/dev/vda2 / ext4');
  });

  it('is as good as a prompt when systemd is up: the guest may have no getty there', () => {
    const recogniser = boot(DEBIAN_KERNEL + REPORT, { evidenceSeconds: 90 });
    expect([recogniser.level, recogniser.verdict(11)?.verdict]).toEqual(['login', 'booted']);
  });

  it('is no pass when systemd still starts', () => {
    const starting = REPORT.replace('running\r\nactive', 'starting\r\ninactive');
    const recogniser = boot(DEBIAN_KERNEL + starting, { evidenceSeconds: 90 });
    expect([recogniser.level, recogniser.verdict(11)]).toEqual(['kernel', null]);
  });

  it('is not searched for signatures', () => {
    const text = REPORT.replace('== mounts', '== failed\r\nYou are in emergency mode\r\n== mounts');
    expect(boot(DEBIAN_KERNEL + text, { evidenceSeconds: 90 }).verdict(60)?.verdict).toBe('booted');
  });
});

/** What the programs print. The first field is the signature that must come out. */
const FAILURES: readonly (readonly [string, string])[] = [
  [
    'initramfs-shell',
    `${DEBIAN_KERNEL}${DEBIAN_INITRAMFS}Gave up waiting for root file system device.  Common problems:\r\nALERT!  /dev/sda2 does not exist.  Dropping to a shell!\r\n(initramfs) `,
  ],
  [
    'initramfs-shell',
    `${DEBIAN_KERNEL}:: running early hook [udev]\r\nStarting systemd-udevd version 256.5-1-arch\r\n:: running hook [udev]\r\n:: Triggering uevents...\r\nWaiting 10 seconds for device /dev/sda2 ...\r\nERROR: device '/dev/sda2' not found. Skipping fsck.\r\n:: mounting '/dev/sda2' on real root\r\nmount: /new_root: no valid filesystem type specified.\r\nERROR: Failed to mount '/dev/sda2' on real root\r\nYou are now being dropped into an emergency shell.\r\nsh: can't access tty; job control turned off\r\n[rootfs ~]# `,
  ],
  [
    'initramfs-shell',
    `${DEBIAN_KERNEL}Starting version 219\r\nERROR: Unable to find root device '/dev/sda2'.\r\nYou are being dropped to a recovery shell\r\n    Type 'exit' to try and continue booting\r\nsh: can't access tty; job control turned off\r\n[rootfs /]# `,
  ],
  ['initramfs-shell', `${DEBIAN_KERNEL}[rootfs ~]# `],
  [
    'initramfs-shell',
    `${DEBIAN_KERNEL}Alpine Init 3.4.5-r0\r\n * Loading boot drivers: ok.\r\n * Mounting root: mount: mounting /dev/sda3 on /sysroot failed: No such file or directory\r\nMounting root failed.\r\ninitramfs emergency recovery shell launched. Type 'exit' to continue boot\r\n~ # `,
  ],
  [
    'initramfs-shell',
    `${DEBIAN_KERNEL} * Mounting root: failed. \r\nLaunching initramfs emergency recovery shell.\r\n~ # `,
  ],
  [
    'init-missing',
    `${DEBIAN_KERNEL}grep: /sysroot/etc/inittab: No such file or directory\r\n/sbin/init not found in new root. Launching emergency recovery shell\r\nType exit to continue boot.\r\n/ # `,
  ],
  [
    'initramfs-shell',
    `${DEBIAN_KERNEL}Waiting for device /dev/sda2 to appear:  ..............................Could not find /dev/sda2.\r\nWant me to fall back to /dev/sda2? (Y/n) \r\n`,
  ],
  [
    'initramfs-shell',
    `${DEBIAN_KERNEL}Waiting for device /dev/sda2 to appear: ...........................not found -- exiting to /bin/sh\r\n$ `,
  ],
  [
    'initramfs-shell',
    `${DEBIAN_KERNEL}>> Determining root device...\r\n!! Block device /dev/sda3 is not a valid root device...\r\n!! Could not find the root block device in .\r\n   Please specify another value or: press Enter for the same, type "shell" for a shell, or "q" to skip...\r\n   root block device() :: `,
  ],
  // booster without and with busybox, tinyramfs, tiny-initramfs.
  [
    'initramfs-shell',
    `${DEBIAN_KERNEL}booster: Timeout waiting for root filesystem\r\nPress ENTER to reboot\r\n`,
  ],
  [
    'initramfs-shell',
    `${DEBIAN_KERNEL}\r\n\r\nBusyBox v1.36.1 (2024-05-01 12:00:00 UTC) built-in shell (ash)\r\nEnter 'help' for a list of built-in commands.\r\n\r\n/ # `,
  ],
  ['initramfs-shell', `${DEBIAN_KERNEL}!> failed to lookup partition: /dev/sda2\r\n/ # `],
  [
    'initramfs-shell',
    `${DEBIAN_KERNEL}[    3.1] initramfs: Timeout while waiting for devices for / filesystem to appear\r\n[    3.2] initramfs: Will cause kernel panic in 10s...\r\n`,
  ],
  [
    'nash-no-root',
    `${DEBIAN_KERNEL}Red Hat nash version 5.1.19.6 starting\r\nmount: could not find filesystem '/dev/root'\r\nsetuproot: moving /dev failed: No such file or directory\r\nsetuproot: error mounting /proc: No such file or directory\r\nswitchroot: mount failed: No such file or directory\r\nKernel panic - not syncing: Attempted to kill init!\r\n`,
  ],
  [
    'dracut-emergency',
    `${DEBIAN_KERNEL}dracut: dracut-004-411.el6\r\ndracut Warning: No root device "block:/dev/sda2" found\r\ndracut Warning: Boot has failed. To debug this issue add "rdshell" to the kernel command line.\r\n`,
  ],
  [
    'kernel-panic',
    'Linux version 2.4.21\r\nKernel panic: No init found.  Try passing init= option to kernel.\r\n',
  ],
  [
    'panic-no-root',
    'VFS: Cannot open root device "sda1" or 08:01\r\nKernel panic: VFS: Unable to mount root fs on 08:01\r\n',
  ],
  [
    'dracut-emergency',
    `${DRACUT}Warning: /dev/sda3 does not exist\r\nGenerating "/run/initramfs/rdsosreport.txt"\r\nEntering emergency mode. Exit the shell to continue.\r\n`,
  ],
  ['dracut-emergency', `${DRACUT}\r\ndracut:/# `],
  [
    'panic-no-root',
    '[    2.1] x\r\n[    2.154321] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\r\n',
  ],
  ['kernel-panic', '[    2.154321] Kernel panic - not syncing: Fatal exception in interrupt\r\n'],
  [
    'init-missing',
    "[    2.154321] x\r\nTarget filesystem doesn't have requested /sbin/init.\r\nNo init found. Try passing init= bootarg.\r\n",
  ],
  [
    'grub-rescue',
    'GRUB loading.\r\nWelcome to GRUB!\r\n\r\nerror: no such device: 7f1a.\r\nEntering rescue mode...\r\ngrub rescue> ',
  ],
  [
    'grub-prompt',
    'GNU GRUB  version 2.06\r\nMinimal BASH-like line editing is supported. For the first word\r\ngrub> ',
  ],
  [
    'grub-error',
    "GNU GRUB  version 2.06\r\nerror: file `/boot/vmlinuz-6.1' not found.\r\nerror: you need to load the kernel first.\r\nPress any key to continue...",
  ],
  ['loader-no-kernel', 'EXTLINUX 6.04\r\nCould not find kernel image: linux\r\nboot: '],
  [
    'uefi-shell',
    '\x1b[2J\x1b[01;01HBdsDxe: failed to load Boot0001 "UEFI Misc Device" from PciRoot(0x0)/Pci(0x2,0x0): Not Found\r\n\x1b[2J\x1b[01;01HUEFI Interactive Shell v2.2\r\n',
  ],
  [
    'uefi-no-loader',
    'BdsDxe: failed to load Boot0001 "UEFI Misc Device" from PciRoot(0x0)/Pci(0x2,0x0): Not Found\r\n',
  ],
  ['windows-loader', 'BOOTMGR is missing\r\nPress Ctrl+Alt+Del to restart'],
  [
    'emergency-mode',
    `${DEBIAN_KERNEL}${DEBIAN_ROOT}[ TIME ] Timed out waiting for device /dev/sdb1.\r\n[DEPEND] Dependency failed for local-fs.target - Local File Systems.\r\nYou are in emergency mode. After logging in, type "journalctl -xb"\r\nCannot open access to console, the root account is locked.\r\n`,
  ],
  [
    'local-filesystems',
    `${DEBIAN_KERNEL}${DEBIAN_ROOT}[DEPEND] Dependency failed for Local File Systems.\r\n`,
  ],
  [
    'device-missing',
    `${DEBIAN_KERNEL}${DEBIAN_ROOT}[ ***  ] A start job is running for /dev/disk/by-uuid/1234 (4min 2s / 10min)\r`,
  ],
  ['init-frozen', `${DEBIAN_KERNEL}[    3.000001] systemd[1]: Freezing execution.\r\n`],
  ['fsck-manual', `${DEBIAN_KERNEL}/dev/vda2: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.\r\n(initramfs) `],
  ['out-of-memory', `${DEBIAN_KERNEL}[   20.000001] Out of memory: Killed process 200 (systemd-udevd)\r\n`],
  ['passphrase-prompt', `${DEBIAN_KERNEL}Please unlock disk vda3_crypt: `],
  [
    'no-bootable-device',
    'SeaBIOS (version 1.16.2)\r\nBooting from Hard Disk...\r\nBoot failed: not a bootable disk\r\n\r\nNo bootable device.\r\n',
  ],
];

describe('what failed', () => {
  const told = (text: string, at = 10) => boot(text, {}, at).verdict(at + 100)?.failure?.named;
  const EMERGENCY = 'You are in emergency mode. After logging in, type "journalctl -xb"\r\n';
  const userspace = DEBIAN_KERNEL + DEBIAN_ROOT;

  it.each([
    ['[FAILED] Failed to mount \x1b[0;1;39msrv.mount\x1b[0m - /srv.\r\n', ['/srv']],
    ['[\x1b[0;1;31mFAILED\x1b[0m] Failed to mount /srv/a.b.\r\n', ['/srv/a.b']],
    [
      '[ TIME ] Timed out waiting for device …i-0000:03:00.0-scsi-0:0:0:0-part1.\r\n[DEPEND] Dependency failed for data.mount - /data.\r\n[DEPEND] Dependency failed for local-fs.target - Local File Systems.\r\n',
      ['/data'],
    ],
    ['[FAILED] Failed to mount /a.\r\n[FAILED] Failed to mount /b.\r\n', ['/a', '/b']],
    ['[DEPEND] Dependency failed for /dev/disk/by-uuid/1234.\r\n', undefined],
    ['[FAILED] Failed to start ssh.service - OpenBSD Secure Shell server.\r\n', undefined],
  ])('is named by %j', (text, named) => {
    expect(told(userspace + text + EMERGENCY)).toEqual(named);
  });

  it.each([
    ['/dev/disk/by-uuid/1234 (4min 2s / 10min)', '/dev/disk/by-uuid/1234'],
    ['dev-sdb1.device - /dev/sdb1 (5min / 10min)', '/dev/sdb1'],
    ['/dev/d…-4ee1-8f42-0123456789ab (4min 3s / 10min)', '/dev/d…-4ee1-8f42-0123456789ab'],
    ['…-4ee1-8f42-0123456789ab (12min 3s / no limit)', '…-4ee1-8f42-0123456789ab'],
  ])('is named by the job that waits for %s', (text, name) => {
    const recogniser = boot(`${userspace}[ ***  ] A start job is running for ${text}\r`);
    const { failure } = recogniser.verdict(10) ?? {};
    expect(failure).toMatchObject({ signature: 'device-missing', named: [name] });
  });

  it('is not a service that takes long', () => {
    expect(
      boot(`${userspace}[ ***  ] A start job is running for Network…nfiguration (4min 3s / 5min)\r`).verdict(
        10,
      ),
    ).toBeNull();
  });

  it('is forgotten by a reset, and bounded', () => {
    const recogniser = boot(`${userspace}[FAILED] Failed to mount /old.\r\n`);
    recogniser.event(event('RESET'), 11);
    const many = Array.from({ length: 40 }, (_, index) => `[FAILED] Failed to mount /m${index}.\r\n`).join(
      '',
    );
    recogniser.serial(Buffer.from(userspace + many + EMERGENCY), 20);
    const { named } = recogniser.verdict(60)?.failure ?? {};
    expect(named).toHaveLength(16);
    expect(named).not.toContain('/old');
  });
});

describe('failures', () => {
  it.each(FAILURES)('%s is recognised, early', (signature, text) => {
    const row = SIGNATURES.find((candidate) => candidate.signature === signature)!;
    const recogniser = boot(text);
    if (row.settleSeconds > 0) expect(recogniser.verdict(10.5)).toBeNull();
    const verdict = recogniser.verdict(10 + row.settleSeconds);
    expect(verdict?.failure).toMatchObject({ signature, meaning: row.meaning, advice: row.advice });
    expect(verdict?.verdict).toBe(signature === 'passphrase-prompt' ? 'inconclusive' : 'failed');
  });

  it('has a test for each row of the table', () => {
    const tested = new Set(FAILURES.map(([signature]) => signature));
    expect(
      SIGNATURES.map(({ signature }) => signature).filter((signature) => !tested.has(signature)),
    ).toEqual(['dracut-timeout']);
  });

  it('waits a minute after dracut’s first timeout', () => {
    const recogniser = boot(
      `${DRACUT}[  130.0] dracut-initqueue[300]: Warning: dracut-initqueue timeout - starting timeout scripts\r\n`,
    );
    expect(recogniser.verdict(69)).toBeNull();
    expect(recogniser.verdict(70)?.failure?.signature).toBe('dracut-timeout');
  });

  it('are disproved by a boot that goes on', () => {
    const recogniser = boot('error: no such device: 7f1a.\r\n');
    recogniser.serial(Buffer.from(DEBIAN), 11);
    expect(recogniser.verdict(60)?.verdict).toBe('booted');
  });

  it('are read from the screen too', () => {
    const recogniser = recogniserOf();
    recogniser.screen('Loading Linux 6.1 ...\n(initramfs)', 40);
    expect(recogniser.verdict(43)?.failure?.signature).toBe('initramfs-shell');
    expect(recogniser.level).toBe('kernel');
  });

  it('hold after the login prompt: a panic while the report is awaited is no pass', () => {
    const recogniser = boot(DEBIAN, { evidenceSeconds: 90 });
    recogniser.serial(Buffer.from('\r\n[   40.0] Kernel panic - not syncing: Fatal exception\r\n'), 40);
    expect(recogniser.verdict(42)?.failure?.signature).toBe('kernel-panic');
  });

  it('of an overloaded host are marked, others not', () => {
    const [, emergency] = FAILURES.find(([signature]) => signature === 'emergency-mode')!;
    const [, shell] = FAILURES.find(([signature]) => signature === 'initramfs-shell')!;
    expect(boot(emergency).verdict(20)?.underLoad).toBe(true);
    expect(boot(shell).verdict(20)?.underLoad).toBe(false);
  });
});

describe("QEMU's events", () => {
  it('the third reset is a reboot loop', () => {
    const recogniser = recogniserOf();
    for (const at of [1, 2]) recogniser.event(event('RESET'), at);
    expect(recogniser.verdict(3)).toBeNull();
    recogniser.event(event('RESET'), 4);
    expect(recogniser.verdict(4)?.failure?.signature).toBe('reboot-loop');
  });

  it('two resets and then a login is a boot', () => {
    const recogniser = recogniserOf();
    for (const at of [1, 2]) recogniser.event(event('RESET'), at);
    recogniser.serial(Buffer.from(DEBIAN), 10);
    expect(recogniser.verdict(10)?.verdict).toBe('booted');
  });

  it('a reset after the login prompt takes the pass back', () => {
    const recogniser = boot(DEBIAN, { evidenceSeconds: 90 });
    recogniser.event(event('RESET'), 20);
    expect(recogniser.verdict(105)).toBeNull();
    expect(recogniser.level).toBe('login');
  });

  it('a reset by the host counts for nothing', () => {
    const recogniser = recogniserOf();
    for (const at of [1, 2, 3]) recogniser.event(event('RESET', { guest: false }), at);
    expect(recogniser.verdict(4)).toBeNull();
  });

  it.each([
    ['SHUTDOWN', 'powered-off'],
    ['GUEST_PANICKED', 'kernel-panic'],
    ['WATCHDOG', 'watchdog'],
  ])('%s is %s', (name, signature) => {
    const recogniser = boot(DEBIAN_KERNEL);
    recogniser.event(event(name), 11);
    expect(recogniser.verdict(11)?.failure?.signature).toBe(signature);
  });

  it('a stop by an internal error is cpu-stopped, a pause is not', () => {
    const recogniser = boot(DEBIAN_KERNEL);
    recogniser.stopped('paused');
    expect(recogniser.verdict(11)).toBeNull();
    recogniser.stopped('internal-error');
    expect(recogniser.verdict(11)?.failure?.signature).toBe('cpu-stopped');
  });

  it('the old screen right after a reset says nothing', () => {
    const recogniser = recogniserOf();
    recogniser.event(event('RESET'), 5);
    recogniser.screen('web01 login:', 6);
    expect(recogniser.level).toBe('none');
  });
});

describe('time', () => {
  const idle = { operations: 5, readBytes: MIB, picture: 'a' };

  it('a machine without any movement has stalled, sooner before the kernel than after', () => {
    const dead = recogniserOf();
    expect(dead.verdict(89)).toBeNull();
    expect(dead.verdict(90)?.failure?.signature).toBe('stalled');
    const kernel = boot(DEBIAN_KERNEL, {}, 0);
    expect(kernel.verdict(239)).toBeNull();
    expect(kernel.verdict(240)?.failure?.signature).toBe('stalled');
  });

  it('disk access is movement', () => {
    const recogniser = boot(DEBIAN_KERNEL, {}, 0);
    recogniser.activity({ ...idle, operations: 6 }, 200);
    expect(recogniser.verdict(250)).toBeNull();
  });

  it('a blinking cursor is no movement', () => {
    const recogniser = boot(DEBIAN_KERNEL, {}, 0);
    for (let at = 0; at < 240; at++) recogniser.activity({ ...idle, picture: at % 2 ? 'on' : 'off' }, at);
    expect(recogniser.verdict(245)?.failure?.signature).toBe('stalled');
  });

  it('running out while it still moves is inconclusive', () => {
    const recogniser = boot(DEBIAN_KERNEL, { timeoutSeconds: 60 }, 59);
    expect(recogniser.verdict(60)).toMatchObject({
      verdict: 'inconclusive',
      failure: { signature: 'inconclusive' },
    });
  });

  it('running out long after the last movement is stalled', () => {
    expect(boot(DEBIAN_KERNEL, { timeoutSeconds: 60 }, 5).verdict(60)?.failure?.signature).toBe('stalled');
  });

  it('a guest that never speaks but read a whole system is inconclusive, never a pass', () => {
    const recogniser = recogniserOf();
    recogniser.activity({ ...idle, readBytes: 300 * MIB }, 30);
    expect(recogniser.verdict(200)?.verdict).toBe('inconclusive');
  });

  it('a guest that speaks until its services and has no getty on the line is inconclusive', () => {
    const recogniser = boot(DEBIAN_KERNEL + DEBIAN_ROOT + DEBIAN_USERSPACE, {}, 0);
    expect(recogniser.verdict(240)?.verdict).toBe('inconclusive');
  });

  it('a login prompt counts although the wait for the report runs into the limit', () => {
    const recogniser = boot(DEBIAN, { timeoutSeconds: 60, evidenceSeconds: 90 }, 50);
    expect(recogniser.verdict(60)?.verdict).toBe('booted');
  });
});

describe('a console that is made to cost', () => {
  const patterns = [...SIGNATURES.map(({ pattern }) => pattern), ...LEVELS.map(({ pattern }) => pattern)];
  const pieces = new Set(
    patterns.flatMap((pattern) =>
      (pattern.source.match(/(?:[A-Za-z0-9 :,!-]|\\[.()/[\]])+/g) ?? [])
        .filter((piece) => piece.length > 3)
        .map((piece) => piece.replaceAll('\\', '')),
    ),
  );
  const repeated = (piece: string) => `${piece.repeat(512).slice(0, 511)}\n`.repeat(32);
  it.each([...pieces, '/dev/(', 'A start job is running for /dev/', '\r', 'a\n'])('16 KiB of %j', (piece) => {
    const recogniser = recogniserOf({ timeoutSeconds: 60 });
    const started = performance.now();
    recogniser.serial(Buffer.from(piece === 'a\n' ? piece.repeat(8192) : repeated(piece)), 1);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});
