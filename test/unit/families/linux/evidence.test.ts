import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { evidence } from '../../../../src/families/linux/evidence.js';
import { guestReport } from '../../../../src/families/linux/guest-report.js';
import { applyOperations } from '../../../../src/operations/apply-operations.js';
import { guestOf, pathsOf, textAfter, treeOf } from '../guests.js';

const systemd = { init_system: 'systemd', architecture: 'x86_64' };
const SCRIPT = '/etc/hyper2kvm-evidence.sh';
const UNIT = '/etc/systemd/system/hyper2kvm-evidence.service';

describe('evidence', () => {
  const files = {
    '/boot/grub/grub.cfg':
      "\tlinux\t/vmlinuz root=UUID=a ro quiet splash\n\tlinux /vmlinuz root=UUID=a single console=ttyS1\n\tset root='hd0,gpt2'\n",
    '/boot/loader/entries/a.conf': 'options root=UUID=a rhgb quiet\n',
    '/boot/extlinux/extlinux.conf': '  append root=UUID=a quiet\n',
    '/etc/default/grub': 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\n',
  };

  it('lets every kernel talk on the first serial port', () => {
    const { operations } = evidence({ tree: treeOf(files), identity: systemd });
    const serial = 'console=tty0 console=ttyS0,115200n8 no_timer_check';
    expect(textAfter(operations, '/boot/grub/grub.cfg')).toBe(
      `\tlinux\t/vmlinuz root=UUID=a ro ${serial}\n\tlinux /vmlinuz root=UUID=a single ${serial}\n\tset root='hd0,gpt2'\n`,
    );
    expect(textAfter(operations, '/boot/loader/entries/a.conf')).toBe(`options root=UUID=a ${serial}\n`);
    expect(textAfter(operations, '/boot/extlinux/extlinux.conf')).toBe(`  append root=UUID=a ${serial}\n`);
    // What only the next update-grub reads does not matter to this boot.
    expect(pathsOf(operations)).not.toContain('/etc/default/grub');
  });

  it('takes the port that AArch64 has', () => {
    const identity = { ...systemd, architecture: 'aarch64' };
    const { operations, changes } = evidence({ tree: treeOf(files), identity });
    expect(textAfter(operations, '/boot/extlinux/extlinux.conf')).toBe(
      '  append root=UUID=a console=tty0 console=ttyAMA0,115200n8\n',
    );
    expect(textAfter(operations, SCRIPT)).toContain('> /dev/ttyAMA0\n');
    expect(`${changes.join()} ${textAfter(operations, SCRIPT)}`).not.toContain('ttyS0');
  });

  it('adds an enabled unit and patience, and says so', () => {
    const { operations, changes, unit } = evidence({ tree: treeOf(files), identity: systemd });
    const { tree } = applyOperations(guestOf({ files }), operations);
    expect(tree.resolve('/etc/systemd/system/multi-user.target.wants/hyper2kvm-evidence.service')).toBe(UNIT);
    expect(tree.get(SCRIPT)?.mode).toBe(0o755);
    expect(tree.text('/etc/systemd/system.conf.d/99-hyper2kvm-evidence.conf')?.text).toContain(
      'DefaultTimeoutStartSec=600s',
    );
    expect(unit).toBe(true);
    expect(changes).toHaveLength(5);
    expect(evidence({ tree, identity: systemd }).operations).toEqual([]);
  });

  it('gives a guest without systemd the console only', () => {
    const identity = { ...systemd, init_system: 'openrc' };
    const { operations, unit } = evidence({ tree: treeOf(files), identity });
    expect(operations).toHaveLength(3);
    expect(unit).toBe(false);
  });

  it('writes a script that a POSIX shell accepts', () => {
    const script = textAfter(evidence({ tree: treeOf({}), identity: systemd }).operations, SCRIPT) ?? '';
    expect(() => execFileSync('dash', ['-n'], { input: script })).not.toThrow();
  });

  it('writes a script whose output parses, run for real', () => {
    const script = textAfter(evidence({ tree: treeOf({}), identity: systemd }).operations, SCRIPT) ?? '';
    const here = script.replace('> /dev/ttyS0', '').replace('-ge 60', '-ge 0');
    const { mounts } = guestReport.parse(
      execFileSync('dash', ['-c', here], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    );
    expect(mounts.map(({ mountpoint }) => mountpoint)).toContain('/');
  });
});

describe('the report', () => {
  const text = `
HYPER2KVM-EVIDENCE-BEGIN
== fib_trie
Main:
  +-- 0.0.0.0/0 3 0 4
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.0.2.0/24 2 0 2
        |-- 10.0.2.0
           /24 link UNICAST
        |-- 10.0.2.15
           /32 host LOCAL
        |-- 10.0.2.255
           /32 link BROADCAST
[   61.123456] audit: a line of the kernel
     |-- 127.0.0.1
        /32 host LOCAL
Local:
        |-- 10.0.2.15
           /32 host LOCAL
== mounts
/dev/vda2 / ext4 rw,relatime 0 0
/dev/vda1 /boot ext4 rw 0 0
tmpfs /run tmpfs rw 0 0
/dev/vdb1 /srv/my\\040data xfs rw 0 0
== swaps
Filename				Type		Size		Used		Priority
/dev/vda3                               partition	131068		0		-2
== failed
ssh.service loaded failed failed OpenBSD Secure Shell server
== fstab
# comment / here
UUID=a / ext4 defaults 0 1
UUID=b /boot/ ext4 defaults 0 2
UUID=c none swap sw 0 0
UUID=d /srv/my\\040data xfs defaults 0 0
UUID=e /data ext4 defaults 0 2
UUID=f /backup ext4 nofail 0 2
/dev/sr0 /media/cdrom0 iso9660 user,noauto 0 0
HYPER2KVM-EVIDENCE-END
debian login:`;

  it('reads addresses, mounts, what is missing of fstab, swap and failed units', () => {
    expect(guestReport.parse(text)).toEqual({
      addresses: ['10.0.2.15'],
      mounts: [
        { device: '/dev/vda2', mountpoint: '/', type: 'ext4' },
        { device: '/dev/vda1', mountpoint: '/boot', type: 'ext4' },
        { device: 'tmpfs', mountpoint: '/run', type: 'tmpfs' },
        { device: '/dev/vdb1', mountpoint: '/srv/my data', type: 'xfs' },
      ],
      missing_mounts: ['/data'],
      swaps: ['/dev/vda3'],
      failed_units: ['ssh.service'],
    });
  });

  it('reads IPv6 addresses in the form in which they are configured, without those of the host and the link', () => {
    const lines = [
      '00000000000000000000000000000001 01 80 10 80       lo',
      'fe80000000000000525400fffe123456 02 40 20 80     eth0',
      'fd000000000000000000000000000005 02 40 00 80     eth0',
      'fec0000000000000525400fffe123456 02 40 40 00     eth0',
      'fd00 02 40 00 80 eth0',
    ];
    expect(guestReport.parse(`== if_inet6\n${lines.join('\n')}\n== mounts\n`).addresses).toEqual([
      'fd00::5',
      'fec0::5254:ff:fe12:3456',
    ]);
  });

  it('takes serial line ends and any garbage', () => {
    expect(guestReport.parse(text.replaceAll('\n', '\r\n')).addresses).toEqual(['10.0.2.15']);
    expect(guestReport.parse('')).toEqual({
      addresses: [],
      mounts: [],
      missing_mounts: [],
      swaps: [],
      failed_units: [],
    });
  });
});
