import { describe, expect, it } from 'vitest';
import { evidence } from '../../../src/families/linux/evidence.js';
import { planGuest } from '../../../src/families/plan.js';
import { filesystem, guestOf } from './guests.js';

/** Larger than any configuration file of a real guest, and than what is parsed as YAML (128 KiB). */
const SIZE = 130 * 1024;
/** A pattern that backtracks over all of such a file once takes twice as long. */
const MOST_MS = 4_000;
/** One of each file that a fixer reads, all with the same text. */
const PATHS = [
  '/etc/fstab',
  '/etc/crypttab',
  '/etc/default/grub',
  '/etc/kernel/cmdline',
  '/etc/modules',
  '/etc/crontab',
  '/etc/lvm/lvm.conf',
  '/etc/mdadm.conf',
  '/etc/apt/sources.list',
  '/etc/yum.repos.d/a.repo',
  '/etc/X11/xorg.conf',
  '/etc/network/interfaces',
  '/etc/netplan/a.yaml',
  '/etc/systemd/network/a.network',
  '/etc/systemd/network/a.link',
  '/etc/NetworkManager/system-connections/a',
  '/etc/sysconfig/network-scripts/ifcfg-a',
  '/etc/wicked/ifconfig/a.xml',
  '/etc/udev/rules.d/70-persistent-net.rules',
  '/boot/grub/grub.cfg',
  '/boot/grub/menu.lst',
  '/boot/grub2/grubenv',
  '/boot/extlinux.conf',
  '/boot/loader/entries/a.conf',
];
const long = (piece: string, tail = '') => piece.repeat(Math.floor(SIZE / piece.length)) + tail;

/** Of this thread: other work on the host is not the guest's. */
function cpuMilliseconds(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

describe('a guest that wants to stop the daemon', () => {
  const texts: [string, string][] = [
    ['blanks', long(' ', 'x')],
    ['empty lines', long('\n', 'x')],
    ['one word', long('a')],
    ['a quoted line of blanks', `GRUB_CMDLINE_LINUX="${long(' ', 'x')}`],
    ['hash marks', `kernelopts=root=/dev/sda1\n${long('#', 'x')}`],
    ['unclosed elements', long('<interface><name>')],
    ['keys without values', long('a:\n')],
    ['a key of blanks', long('a ', 'b')],
    ['dashes', `linux /v ${long('- ')}`],
    ['paths', `linux /v root=/dev/disk/by-path/${long('-part1')}x`],
    ['medium lines of blanks', long(`GRUB_CMDLINE_LINUX="${' '.repeat(8000)}x\n`)],
  ];
  it.each(texts)('with 130 KiB of %s in every file is planned in seconds', (_, text) => {
    const filesystems = [filesystem('/dev/sda1', 'ext4', 'root', { mountpoint: '/' })];
    const guest = guestOf({ files: Object.fromEntries(PATHS.map((path) => [path, text])), filesystems });
    const started = cpuMilliseconds();
    try {
      planGuest(guest);
    } catch (error) {
      expect(error).toMatchObject({ code: expect.stringMatching(/^plan\./) });
    }
    evidence({ tree: guest.tree, identity: { init_system: 'systemd', architecture: 'x86_64' } });
    expect(cpuMilliseconds() - started).toBeLessThan(MOST_MS);
  });

  it('with ten thousand start links of VMware Tools is planned in seconds', () => {
    const numbers = Array.from({ length: 10_000 }, (_, number) => number);
    const files = Object.fromEntries(numbers.map((number) => [`/etc/rc3.d/S${number}vmware-tools`, null]));
    const identity = { init_system: 'upstart' };
    const started = cpuMilliseconds();
    expect(planGuest(guestOf({ files, identity })).operations).toHaveLength(numbers.length);
    expect(cpuMilliseconds() - started).toBeLessThan(MOST_MS);
  });
});
