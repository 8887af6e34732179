import { mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { S_IFREG, writeNewc } from '../../src/guest/cpio.js';
import { listInitramfs } from '../../src/guest/initramfs-listing.js';
import { run } from '../../src/tools/run.js';
import { cli } from '../integration/support/cli.js';
import { runInAppliance } from '../lab/run-in-appliance.ts';
import { MODULES_DEP_2_6, modulesOf } from '../unit/families/guests.js';

const KERNEL = '3.16.0-4-amd64';
const UUID = '11111111-2222-4333-8444-555555555555';
const MACS = ['00:50:56:aa:bb:01', '00:50:56:aa:bb:02'];
const INITRD = `/boot/initrd.img-${KERNEL}`;
const FSTAB = `UUID=${UUID} / ext4 errors=remount-ro 0 1\n/dev/sdb1 /data ext4 defaults 0 2\n`;
const LVM_CONF = `${'# A remark.\n'.repeat(9_000)}devices {\n\tfilter = [ "a|^/dev/sd|",\n\t\t"r|.*|" ]\n}\n`;
const LINK = '/etc/systemd/network/10-hyper2kvm-ens192.link';

/** Just enough of a Debian for INSPECT, PLAN and FIX; nobody boots it. */
function files(): Record<string, string | Buffer> {
  const elf = Buffer.alloc(64);
  elf.write('\x7fELF\x02\x01\x01', 'latin1');
  elf.writeUInt16LE(62, 18);
  const modules = modulesOf(KERNEL, '/lib/modules', MODULES_DEP_2_6);
  const drivers = MODULES_DEP_2_6.split('\n').flatMap((line) => line.split(':')[0] || []);
  const initramfs = writeNewc([
    { path: 'init', mode: S_IFREG | 0o755, data: Buffer.from('#!/bin/sh\n') },
    { path: 'etc/lvm/lvm.conf', mode: S_IFREG | 0o644, data: Buffer.from(LVM_CONF) },
  ]);
  return {
    '/bin/sh': elf,
    '/sbin/init': elf,
    '/lib/systemd/systemd': elf,
    '/usr/bin/apt-get': elf,
    '/lib/systemd/system/systemd-network-generator.service': '[Unit]\n',
    '/usr/sbin/update-initramfs': '#!/bin/sh\n',
    '/etc/os-release': 'ID=debian\nVERSION_ID="8"\nPRETTY_NAME="Debian 8"\n',
    '/etc/hostname': 'phony\n',
    '/srv/config/fstab': FSTAB,
    '/etc/lvm/lvm.conf': LVM_CONF,
    '/etc/initramfs-tools/modules': '# modules\n',
    '/etc/systemd/network/README': 'empty\n',
    '/etc/network/interfaces': 'auto lo\niface lo inet loopback\nauto ens192\niface ens192 inet dhcp\n',
    '/boot/grub/grub.cfg': `menuentry x {\n\tlinux /boot/vmlinuz-${KERNEL} root=UUID=${UUID} ro\n\tinitrd ${INITRD}\n}\n`,
    [`/boot/vmlinuz-${KERNEL}`]: 'kernel',
    [INITRD]: gzipSync(initramfs),
    ...Object.fromEntries(Object.entries(modules).map(([path, text]) => [path, text ?? ''])),
    ...Object.fromEntries(
      ['dep', 'alias', 'builtin'].map((name) => [`/lib/modules/${KERNEL}/modules.${name}.bin`, '']),
    ),
    ...Object.fromEntries(drivers.map((file) => [`/lib/modules/${KERNEL}/${file}`, 'module'])),
  };
}

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'h2k-phony-'));
  const top = join(directory, 'tree');
  for (const [path, content] of Object.entries(files())) {
    await mkdir(dirname(join(top, path)), { recursive: true });
    await writeFile(join(top, path), content, { mode: 0o755 });
  }
  await symlink('/srv/config/fstab', join(top, 'etc/fstab'));
  const archive = join(directory, 'tree.tar');
  await run('tar', ['-cf', archive, '--numeric-owner', '--owner=0', '--group=0', '-C', top, '.']);
  const disk = join(directory, 'disk.raw');
  await writeFile(disk, '');
  await truncate(disk, 96 << 20);
  // The snapshot's name sorts before the root's.
  const script = `set -eu
modprobe dm_snapshot || true
pvcreate -q -ff -y /dev/sda
vgcreate -q vg /dev/sda
lvcreate -q -y -L 48M -n root vg
mkfs.ext4 -q -U ${UUID} /dev/vg/root
mkdir -p /tmp/root
mount /dev/vg/root /tmp/root
tar -xf /dev/sdb -C /tmp/root
chattr +i /tmp/root/srv/config/fstab /tmp/root${INITRD} /tmp/root/etc/systemd/network
umount /tmp/root
lvcreate -q -y -s -L 12M -n aaa vg/root
vgchange -q -an vg
`;
  await runInAppliance({
    disks: [
      { file: disk, format: 'raw', readonly: false },
      { file: archive, format: 'raw', readonly: true },
    ],
    script,
  });
  const drop = join(directory, 'phony');
  await mkdir(drop);
  await run('qemu-img', ['convert', '-f', 'raw', '-O', 'vmdk', disk, join(drop, 'phony.vmdk')]);
  const card = (index: number, slot: number) =>
    `ethernet${index}.present = "TRUE"\nethernet${index}.virtualDev = "vmxnet3"\nethernet${index}.generatedAddress = "${MACS[index]}"\nethernet${index}.pciSlotNumber = "${slot}"\n`;
  const vmx = `displayName = "phony"\nscsi0:0.present = "TRUE"\nscsi0:0.fileName = "phony.vmdk"\nscsi0:0.deviceType = "scsi-hardDisk"\n${card(0, 160)}${card(1, 192)}`;
  await writeFile(join(drop, 'phony.vmx'), vmx);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

test('a guest on LVM with a snapshot, links, flags, filters and a second card is changed where it should', async () => {
  const config = join(directory, 'config.toml');
  await writeFile(config, '[validate]\nenabled = false\n');
  const out = join(directory, 'out');
  const ended = await cli(['convert', join(directory, 'phony'), '-o', out, '--config', config]);
  expect(ended.code, ended.out + ended.err).toBe(0);
  const bundle = join(out, 'phony');
  const report = JSON.parse(await readFile(join(bundle, 'report.json'), 'utf8'));
  const plan = JSON.parse(await readFile(join(bundle, 'plan.json'), 'utf8'));
  const raw = join(directory, 'converted.raw');
  await run('qemu-img', ['convert', '-O', 'raw', join(bundle, 'phony-disk0.qcow2'), raw]);
  /** The root volume begins with the group's first extent. */
  const debugfs = async (command: string) =>
    String((await run('debugfs', ['-R', command, `${raw}?offset=${1 << 20}`])).stdout);
  const bytesOf = async (path: string) => {
    const copy = join(directory, 'file');
    await debugfs(`dump ${path} ${copy}`);
    return readFile(copy);
  };
  const isImmutable = async (path: string) =>
    (Number(/Flags: (0x[0-9a-f]+)/.exec(await debugfs(`stat ${path}`))?.[1]) & 0x10) !== 0;

  // The root is the origin, not the snapshot that has its UUID and sorts first.
  expect(report.identity.root).toBe('/dev/vg/root');
  expect(plan.warnings).toContainEqual(
    expect.objectContaining({ code: 'inspect.snapshot', message: expect.stringContaining('/dev/vg/aaa') }),
  );
  // fstab is a link to an immutable file out of /etc.
  expect(String(await bytesOf('/srv/config/fstab'))).toBe(
    FSTAB.replace('/data ext4 defaults', '/data ext4 defaults,nofail'),
  );
  expect(await debugfs('stat /etc/fstab')).toContain('Fast link dest: "/srv/config/fstab"');
  // The flags are there again: on a rewritten file, an appended one, and a directory with a new file.
  for (const path of ['/srv/config/fstab', INITRD, '/etc/systemd/network'])
    expect(await isImmutable(path), path).toBe(true);
  // Of two cards it is the one in slot 192.
  expect(String(await bytesOf(LINK))).toContain(`MACAddress=${MACS[1]}`);
  // LVM's filter lets virtio through in /etc and inside the initramfs, which has the drivers too.
  expect(String(await bytesOf('/etc/lvm/lvm.conf'))).toBe(LVM_CONF.replace('[ "a|', '[ "a|^/dev/vd|", "a|'));
  const listing = await listInitramfs(await bytesOf(INITRD), new AbortController().signal);
  expect(listing.texts['etc/lvm/lvm.conf']).toContain('[ "a|^/dev/vd|", "a|^/dev/sd|"');
  expect(listing.files).toContain(`lib/modules/${KERNEL}/kernel/drivers/block/virtio_blk.ko`);
  // Linux 3.16 knows no virtio 1.0.
  expect(await readFile(join(bundle, 'phony.xml'), 'utf8')).toContain("model='virtio-transitional'");
});
