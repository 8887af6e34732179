import { expect, test } from 'vitest';
import { sshDevices } from '../../../src/ssh/devices.js';
import { parseFacts } from '../../../src/ssh/host-facts.js';
import { mountedSubvolumes, refuseUnmounted } from '../../../src/ssh/mounts.js';

const GROUP = 'g'.repeat(32);
const lvm = (volume: string, more = '') => `LVM-${GROUP}${volume.repeat(32)}${more}`;

/** As the script prints it on a machine with a disk, a group with a snapshot, a container and an array. */
const LVM = parseFacts(`block sda 8:0 2048 yes
partition sda1 8:1 1024 1 64
partition sda10 8:10 512 10 1088
block sdaa 65:160 2048 yes
block sdb 8:16 2048 yes
block loop0 7:0 100 no
partition loop0p1 259:0 10 1 1
block sr0 11:0 2097151 yes
block cciss!c0d0 104:0 2048 yes
partition cciss!c0d0p1 104:1 1024 1 64
block dm-0 253:0 512 no
mapper my--vg-ro--ot ${lvm('a')}
part-of 253:1
block dm-1 253:1 512 no
mapper my--vg-ro--ot-real ${lvm('a', '-real')}
part-of 8:1
block dm-2 253:2 512 no
mapper my--vg-snap ${lvm('b')}
part-of 253:1
part-of 253:3
block dm-3 253:3 64 no
mapper my--vg-snap-cow ${lvm('b', '-cow')}
block dm-4 253:4 512 no
mapper crypt CRYPT-LUKS2-00112233445566778899aabbccddeeff-crypt
block md127 9:127 512 no
link /dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1 /dev/sda1
link /dev/disk/by-id/wwn-0x6000c29 /dev/sda
root 64768
efi
mount 25 1 253:0 / / rw shared:1 - ext4 /dev/mapper/my--vg-ro--ot rw
mount 26 25 8:10 / /boot/with\\040blank rw - ext4 /dev/sda10 rw
tags 8:1
DEVNAME=/dev/sda1
TYPE=LVM2_member
UUID=aaaa
PART_ENTRY_NUMBER=1

tags 8:10
TYPE=ext4
LABEL=a\\ b=c

`);

test('disks come in the kernel’s order, without what is no disk of a VM', async () => {
  const devices = sshDevices(LVM);
  expect(await devices.disks()).toEqual(['/dev/sda', '/dev/sdb', '/dev/sdaa', '/dev/cciss/c0d0']);
  expect(await devices.partitions()).toEqual(['/dev/sda1', '/dev/sda10', '/dev/cciss/c0d0p1']);
  expect(await devices.arrays()).toEqual(['/dev/md127']);
  expect(await devices.size('/dev/sda10')).toBe(512 * 512);
  await expect(devices.size('/dev/sdz')).rejects.toMatchObject({ code: 'guest.call-failed' });
});

test('what blkid does not say of a partition, sysfs does', async () => {
  const devices = sshDevices(LVM);
  expect(await devices.probe('/dev/sda10')).toEqual({
    ...{ PART_ENTRY_NUMBER: '10', PART_ENTRY_OFFSET: '1088', PART_ENTRY_SIZE: '512' },
    ...{ TYPE: 'ext4', LABEL: 'a b=c' },
  });
  expect(await devices.probe('/dev/sda')).toEqual({});
  expect(await devices.links('/dev/sda1')).toEqual([
    '/dev/sda1',
    '/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1',
  ]);
});

test('volumes have LVM’s names, without LVM’s own parts; a snapshot names its origin', async () => {
  const devices = sshDevices(LVM);
  expect(await devices.volumes()).toEqual(['/dev/my-vg/ro-ot', '/dev/my-vg/snap', '/dev/mapper/crypt']);
  expect(await devices.volumeRecords()).toEqual([
    { device: '/dev/my-vg/ro-ot', group: 'my-vg', groupUuid: GROUP, uuid: 'a'.repeat(32), origin: null },
    {
      ...{ device: '/dev/my-vg/snap', group: 'my-vg', groupUuid: GROUP, uuid: 'b'.repeat(32) },
      origin: '/dev/my-vg/ro-ot',
    },
  ]);
});

test('only what is mounted there counts as mounted', () => {
  expect(LVM.firmware).toBe('uefi');
  const at = (device: string, mountpoint: string) => () =>
    refuseUnmounted(LVM, { device, mountpoint, options: '' });
  expect(at('/dev/my-vg/ro-ot', '/')).not.toThrow();
  expect(at('/dev/sda10', '/boot/with blank')).not.toThrow();
  expect(at('/dev/sda1', '/')).toThrow('not have it mounted at /');
  expect(at('/dev/sda10', '/boot')).toThrow('not have it mounted at /boot');
});

test('without a line for the root, as in a chroot, it is on the device of its number', () => {
  const facts = parseFacts('block vda 254:0 2048 yes\nroot 65024\n');
  expect(facts.firmware).toBe('bios');
  expect(() => refuseUnmounted(facts, { device: '/dev/vda', mountpoint: '/', options: '' })).not.toThrow();
});

test('btrfs is known by its source, and a subvolume by what is mounted', () => {
  const facts = parseFacts(`block sda 8:0 2048 yes
partition sda2 8:2 1024 2 64
mount 1 0 0:21 /@ / rw shared:1 - btrfs /dev/sda2 rw,subvolid=256,subvol=/@
`);
  expect(mountedSubvolumes(facts)).toEqual([{ id: 256, path: '@' }]);
  const mount = (options: string) => () =>
    refuseUnmounted(facts, { device: '/dev/sda2', mountpoint: '/', options });
  for (const options of ['', 'subvol=@', 'subvol=/@', 'subvolid=256']) expect(mount(options)).not.toThrow();
  for (const options of ['subvol=@home', 'subvolid=5']) expect(mount(options)).toThrow();
});

test('a bind mount of a directory is not its filesystem', () => {
  const facts = parseFacts(
    'block sda 8:0 2048 yes\npartition sda1 8:1 9 1 1\nmount 1 0 8:1 /x /boot rw - ext4 /dev/sda1 rw\n',
  );
  expect(() => refuseUnmounted(facts, { device: '/dev/sda1', mountpoint: '/boot', options: '' })).toThrow();
});

test('a host that answers with very many links to very many devices costs no more than their number', () => {
  const line = (count: number, text: string) => text.repeat(count);
  const facts = parseFacts(line(60_000, 'block a 1:1 1 yes\n') + line(200_000, 'link l /dev/a\n'));
  expect(facts.devices).toHaveLength(60_000);
  expect(facts.devices[0]?.links).toHaveLength(200_001);
  expect(facts.devices[1]?.links).toBe(facts.devices[0]?.links);
});
