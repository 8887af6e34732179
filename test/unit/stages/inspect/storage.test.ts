import { expect, it } from 'vitest';
import type { BlockDevices } from '../../../../src/access/block-devices.js';
import type { Warnings } from '../../../../src/access/tolerate.js';
import { volumeAliases } from '../../../../src/families/linux/inspect/volume-names.js';
import { resolveDevice } from '../../../../src/guest/device-names.js';
import { readStorage } from '../../../../src/stages/inspect/storage.js';
import { memoryGuest, refused } from '../../access/memory-guest.js';
import { treeOf } from '../../families/guests.js';

const TAGS: Record<string, Record<string, string>> = {
  '/dev/sda': { TYPE: 'linux_raid_member', UUID: 'array' },
  '/dev/md127p1': { TYPE: 'ext4', UUID: 'boot-uuid', PART_ENTRY_UUID: 'aa-01' },
  '/dev/md127p2': { TYPE: 'LVM2_member', UUID: 'pv' },
  '/dev/vg/before': { TYPE: 'ext4', UUID: 'root-uuid' },
  '/dev/vg/root': { TYPE: 'ext4', UUID: 'root-uuid' },
};

const group = { group: 'vg', groupUuid: 'VG-1' };

/** A partitioned array over a whole disk, LVM on its second partition, and a volume whose disk is missing. */
const devices: BlockDevices = {
  ...memoryGuest({}).reader.devices,
  disks: async () => ['/dev/sda'],
  partitions: async () => ['/dev/md127p1', '/dev/md127p2'],
  arrays: async () => ['/dev/md127'],
  array: async () => ({ uuid: 'a:b:c:d', name: 'host:root' }),
  volumes: async () => ['/dev/vg/before', '/dev/vg/root', '/dev/vg/lost'],
  volumeRecords: async () => [
    { ...group, device: '/dev/vg/before', uuid: 'LV-1', origin: '/dev/vg/root' },
    { ...group, device: '/dev/vg/root', uuid: 'LV-2', origin: null },
  ],
  probe: async (device) => TAGS[device] ?? {},
  size: async (device) => {
    if (device === '/dev/vg/lost') throw refused(device, 'ENXIO');
    return 1 << 20;
  },
};

it('lists the partitions of an array, and warns of a volume that cannot be read', async () => {
  const warnings: Warnings = [];
  const storage = await readStorage(devices, { keys: [], controllers: [null] }, warnings);
  const { filesystems } = storage;
  expect(filesystems.map(({ device, type }) => `${device} ${type}`)).toEqual([
    '/dev/sda linux_raid_member',
    '/dev/md127 unknown',
    '/dev/md127p1 ext4',
    '/dev/md127p2 LVM2_member',
    '/dev/vg/before ext4',
    '/dev/vg/root ext4',
  ]);
  expect(filesystems.map(({ snapshot_of }) => snapshot_of ?? null)).toEqual([
    ...[null, null, null, null],
    ...['/dev/vg/root', null],
  ]);
  expect(warnings).toMatchObject([
    { code: 'inspect.skipped', message: expect.stringMatching(/^\/dev\/vg\/lost .*ENXIO/) },
  ]);
  const tree = treeOf({ '/etc/mdadm.conf': 'ARRAY /dev/md0 UUID=a:b:c:d\n' });
  const physical = { filesystems, controllers: [null] };
  const context = { ...physical, aliases: volumeAliases(tree, physical, storage) };
  const byId = ['md-uuid-a:b:c:d-part1', 'md-name-host:root-part1'].map((name) => `/dev/disk/by-id/${name}`);
  for (const name of ['/dev/md0p1', '/dev/md/root1', 'PARTUUID=aa-01', ...byId])
    expect(resolveDevice(name, context)?.uuid).toBe('boot-uuid');
  expect(resolveDevice('/dev/disk/by-id/dm-uuid-LVM-VG1LV2', context)?.device).toBe('/dev/vg/root');
  expect(resolveDevice('/dev/disk/by-id/dm-name-vg-root', context)?.device).toBe('/dev/vg/root');
  expect(resolveDevice('/dev/disk/by-id/lvm-pv-uuid-pv', context)?.device).toBe('/dev/md127p2');
});

it('notes the identifiers of disks, and volume groups of one name', async () => {
  const other = { device: '/dev/vg/root', group: 'vg', groupUuid: 'VG-2', uuid: 'LV-3', origin: null };
  const twice = {
    ...devices,
    volumes: async () => ['/dev/vg/root', '/dev/vg/root'],
    volumeRecords: async () => [...(await devices.volumeRecords()), other],
  };
  const keys = { keys: [], controllers: [null], diskIds: [['one', 'one', 'two']] };
  const storage = await readStorage(twice, keys, []);
  expect(storage.duplicateGroups).toEqual(['vg']);
  expect(storage.filesystems[0]).toMatchObject({ device: '/dev/sda', disk_ids: ['one', 'two'] });
  expect(storage.filesystems.filter(({ device }) => device === '/dev/vg/root')).toHaveLength(1);
});
