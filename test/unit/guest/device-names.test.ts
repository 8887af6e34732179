import { describe, expect, it } from 'vitest';
import { isUnstableName, resolveDevice } from '../../../src/guest/device-names.js';
import { devicePlace } from '../../../src/guest/disk-place.js';
import { filesystem } from '../families/guests.js';

const two = [
  filesystem('/dev/sda2', 'ext4', 'AAAA-root'),
  filesystem('/dev/sdb1', 'xfs', 'data', { label: 'my data' }),
];
const at = (spec: string, controllers: (string | null)[] = [null, null]) => {
  const place = devicePlace(`/dev/${spec}`, { filesystems: [], controllers });
  return place === null ? null : [place.disk, place.partition];
};
const path = (rest: string) => `disk/by-path/pci-0000:${rest}`;

describe('names of the old hypervisor', () => {
  it.each([
    ['sda2', [0, 2]],
    ['sdb', [1, 0]],
    ['sdaa1', [26, 1]],
    ['vdb3', [1, 3]],
    ['xvda1', [0, 1]],
    ['nvme0n1p2', [0, 2]],
    ['nvme0n2p1', [1, 1]],
    ['nvme1n1', [1, 0]],
    ['disk/azure/root-part1', [0, 1]],
    ['disk/azure/scsi1/lun0-part1', null],
    ['disk/cloud/azure_resource-part1', null],
    ['mapper/vg-root', null],
  ])('/dev/%s goes by its letter or number', (spec, place) => {
    expect(at(spec)).toEqual(place);
  });

  it('hdX goes by the IDE channel where that is known', () => {
    expect(at('hdc1', ['ide0:0', 'ide1:0'])).toEqual([1, 1]);
    expect(at('hdb1')).toEqual([1, 1]);
  });

  it('by-path goes by target, and by its order where no description tells', () => {
    expect(at(path('03:00.0-scsi-0:0:1:0-part2'))).toEqual([1, 2]);
    expect(at(path('03:00.0-scsi-0:0:1:0'), ['scsi0:0', 'scsi0:1'])).toEqual([1, 0]);
    expect(at(path('03:00.0-scsi-0:0:8:0-part1'), ['scsi0:0', 'scsi0:8'])).toEqual([1, 1]);
    expect(at(path('03:00.0-scsi-0:0:8:0-part1'), Array(9).fill(null))).toEqual([7, 1]);
    expect(at(path('03:00.0-sas-phy1-lun-0-part1'))).toEqual([1, 1]);
    expect(at(path('02:01.0-ata-2-part1'))).toEqual([1, 1]);
    expect(at(path('02:01.0-ata-4-part1'), ['sata0:0', 'sata0:3'])).toEqual([1, 1]);
  });

  it('by-path tells two adapters apart, and does not guess between more', () => {
    const adapters = ['scsi0:0', 'scsi1:0'];
    expect(at(path('03:00.0-scsi-0:0:0:0-part1'), adapters)).toEqual([0, 1]);
    expect(at(path('13:00.0-scsi-0:0:0:0-part1'), adapters)).toEqual([1, 1]);
    expect(at(path('13:00.0-scsi-0:0:0:0-part1'), [...adapters, 'scsi2:0'])).toBeNull();
    expect(at(path('13:00.0-scsi-0:0:0:0-part1'))).toBeNull();
  });

  it('any path or serial number means the only disk of a VM', () => {
    expect(at(path('1b:00.0-scsi-0:0:3:0-part1'), [null])).toEqual([0, 1]);
    expect(at('disk/by-id/wwn-0x6000c29a-part3', [null])).toEqual([0, 3]);
    expect(at('disk/by-id/wwn-0x6000c29a-part3')).toBeNull();
  });
});

describe('by-id with several disks', () => {
  const vmware = ['6000c29a11112222333344445555aaaa', '6000c29b11112222333344445555bbbb'];
  const virtualBox = ['2ad76c0e00001111222200ff11223344', '2ad76c0e00001111222200ff55667788'];
  const place = (name: string, ids: readonly string[]) => {
    const filesystems = ['/dev/sda1', '/dev/sdb1'].map((device, disk) =>
      filesystem(device, 'ext4', device, { disk_ids: ids.slice(disk, disk + 1) }),
    );
    return (
      resolveDevice(`/dev/disk/by-id/${name}`, { filesystems, controllers: [null, null] })?.device ?? null
    );
  };

  it.each([
    'scsi-36000c29b11112222333344445555bbbb-part1',
    'wwn-0x6000c29b11112222333344445555bbbb-part1',
    'wwn-0x6000C29b11112222333344445555BBBB-part1',
    'scsi-SVMware_Virtual_disk_6000c29b11112222333344445555bbbb-part1',
  ])('%s is the disk with this UUID', (name) => {
    expect(place(name, vmware)).toBe('/dev/sdb1');
  });

  it('VirtualBox’s serial number is made of the image’s UUID', () => {
    expect(place('ata-VBOX_HARDDISK_VB2ad76c0e-88776655-part1', virtualBox)).toBe('/dev/sdb1');
    expect(place('ata-VBOX_HARDDISK_VB2ad76c0e-44332211-part1', virtualBox)).toBe('/dev/sda1');
  });

  it.each([
    ['wwn-0x6000c29c11112222333344445555cccc-part1', vmware],
    ['scsi-36002248000000000000000000000bbbb-part1', vmware],
    ['scsi-0QEMU_QEMU_HARDDISK_drive-scsi1-part1', vmware],
    ['wwn-0x6000c29b11112222333344445555bbbb-part1', []],
    ['wwn-0x6000c29a11112222333344445555aaaa-part1', [vmware[0] ?? '', vmware[0] ?? '']],
  ])('%s is told of no disk, or of copies, and is not guessed', (name, ids) => {
    expect(place(name, ids)).toBeNull();
  });

  it.each([
    ['ata-VMware_Virtual_SATA_Hard_Drive_00000000000000000001', ['sata0:1', 'sata0:0'], '/dev/sdb1'],
    ['ata-VMware_Virtual_SATA_Hard_Drive_02000000000000000001', ['sata0:0', 'sata0:2'], '/dev/sdb1'],
    ['ata-VMware_Virtual_IDE_Hard_Drive_10000000000000000001', ['ide0:0', 'ide1:0'], '/dev/sdb1'],
    ['ata-VMware_Virtual_IDE_Hard_Drive_01000000000000000001', ['ide0:1', 'ide1:0'], '/dev/sda1'],
    ['nvme-VMware_Virtual_NVMe_Disk_VMware_NVME_0000_2', ['nvme0:0', 'nvme0:1'], '/dev/sdb1'],
    ['nvme-VMware_Virtual_NVMe_Disk_VMware_NVME_0001_1', ['nvme0:0', 'nvme1:0'], '/dev/sdb1'],
    // Two controllers, no such port, no namespace.
    ['ata-VMware_Virtual_SATA_Hard_Drive_00000000000000000001', ['sata0:0', 'sata1:0'], null],
    ['ata-VMware_Virtual_SATA_Hard_Drive_05000000000000000001', ['sata0:0', 'sata0:1'], null],
    ['nvme-VMware_Virtual_NVMe_Disk_VMware_NVME_0000', ['nvme0:0', 'nvme0:1'], null],
  ])('%s of VMware on %j is the disk at its place', (name, controllers, device) => {
    const filesystems = ['/dev/sda1', '/dev/sdb1'].map((own) => filesystem(own, 'ext4', own));
    const found = resolveDevice(`/dev/disk/by-id/${name}-part1`, { filesystems, controllers });
    expect(found?.device ?? null).toBe(device);
  });

  it('device-mapper’s links are known by their own identifiers', () => {
    const filesystems = [
      filesystem('/dev/vg/usr', 'ext4', 'usr', { dm_uuid: 'LVM-abc' }),
      filesystem('/dev/mapper/luks-aaaa-bbbb', 'ext4', 'inside'),
      filesystem('/dev/mapper/luks-11111111-2222-3333-4444-555555555555', 'ext4', 'inside'),
    ];
    const found = (name: string) =>
      resolveDevice(`/dev/disk/by-id/${name}`, { filesystems, controllers: [null] })?.device;
    expect(found('dm-uuid-LVM-abc')).toBe('/dev/vg/usr');
    expect(found('dm-uuid-LVM-abcd')).toBeUndefined();
    expect(found('dm-name-vg-usr')).toBe('/dev/vg/usr');
    expect(found('dm-uuid-CRYPT-LUKS2-11111111222233334444555555555555-root')).toBe(
      '/dev/mapper/luks-11111111-2222-3333-4444-555555555555',
    );
  });
});

describe('resolveDevice', () => {
  const context = {
    filesystems: [...two, filesystem('/dev/vg-a/lv-b', 'ext4', 'lv')],
    controllers: [null, null],
  };
  it.each([
    ['UUID=aaaa-ROOT', 'AAAA-root'],
    ['UUID="AAAA-root"', 'AAAA-root'],
    ['LABEL="my data"', 'data'],
    ['/dev/disk/by-label/my\\x20data', 'data'],
    ['PARTUUID=DEADBEEF-02', 'AAAA-root'],
    ['/dev/mapper/vg--a-lv--b', 'lv'],
    ['/dev/vg-a/lv-b', 'lv'],
    ['/dev/sdb1', 'data'],
  ])('%s', (spec, uuid) => {
    expect(resolveDevice(spec, context)?.uuid).toBe(uuid);
  });
  it('is null for a name that copies share, and means the origin of a snapshot', () => {
    const copied = (more: object) => ({
      controllers: [null, null],
      filesystems: [
        filesystem('/dev/vg/a', 'ext4', 'same', { label: 'x', ...more }),
        filesystem('/dev/vg/b', 'ext4', 'same', { label: 'x' }),
      ],
    });
    for (const spec of ['UUID=same', 'LABEL=x', '/dev/disk/by-uuid/same']) {
      expect(resolveDevice(spec, copied({}))).toBeNull();
      expect(resolveDevice(spec, copied({ snapshot_of: '/dev/vg/b' }))?.device).toBe('/dev/vg/b');
    }
    const members = ['one', 'two'].map((member) => filesystem(`/dev/${member}`, 'btrfs', 'same', { member }));
    expect(resolveDevice('UUID=same', { controllers: [], filesystems: members })?.device).toBe('/dev/one');
  });

  it('is null for what is on no disk', () => {
    for (const spec of ['UUID=none', '/dev/sdc1', '/dev/sda9', 'tmpfs', '/dev/mapper/other'])
      expect(resolveDevice(spec, context)).toBeNull();
  });
});

describe('isUnstableName', () => {
  it('tells names that survive from those that do not', () => {
    for (const spec of [
      '/dev/sda1',
      '/dev/vda',
      '/dev/nvme0n1p1',
      '/dev/disk/by-path/x',
      '/dev/disk/by-id/wwn-1',
      '/dev/disk/azure/root-part1',
      '/dev/disk/cloud/azure_resource-part1',
    ])
      expect(isUnstableName(spec)).toBe(true);
    for (const spec of [
      'UUID=a',
      '/dev/mapper/a',
      '/dev/vg/lv',
      '/dev/md0',
      '/dev/disk/by-uuid/a',
      '/dev/disk/by-id/dm-name-vg-lv',
      '/dev/sr0',
      '/dev/fd0',
    ])
      expect(isUnstableName(spec)).toBe(false);
  });
});
