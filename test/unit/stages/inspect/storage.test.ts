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

/** A partitioned array over a whole disk, LVM on its second partition, and a volume whose disk is missing. */
const devices: BlockDevices = {
  ...memoryGuest({}).reader.devices,
  disks: async () => ['/dev/sda'],
  partitions: async () => ['/dev/md127p1', '/dev/md127p2'],
  arrays: async () => ['/dev/md127'],
  array: async () => ({ uuid: 'a:b:c:d', name: 'host:root' }),
  volumes: async () => ['/dev/vg/before', '/dev/vg/root', '/dev/vg/lost'],
  snapshotOrigins: async () => new Map([['/dev/vg/before', '/dev/vg/root']]),
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
  for (const name of ['/dev/md0p1', '/dev/md/root1', 'PARTUUID=aa-01'])
    expect(resolveDevice(name, context)?.uuid).toBe('boot-uuid');
});
