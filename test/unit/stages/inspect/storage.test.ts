import { expect, it } from 'vitest';
import { callError } from '../../../../src/appliance/errors.js';
import { resolveDevice } from '../../../../src/guest/device-names.js';
import { readStorage } from '../../../../src/stages/inspect/storage.js';
import type { Warnings } from '../../../../src/stages/inspect/tolerate.js';
import { volumeAliases } from '../../../../src/stages/inspect/volume-names.js';
import { treeOf } from '../../families/guests.js';
import { answeringSession } from './session.js';

const TAGS: Record<string, Record<string, string>> = {
  '/dev/sda': { TYPE: 'linux_raid_member', UUID: 'array' },
  '/dev/md127p1': { TYPE: 'ext4', UUID: 'boot-uuid', PART_ENTRY_UUID: 'aa-01' },
  '/dev/md127p2': { TYPE: 'LVM2_member', UUID: 'pv' },
  '/dev/vg/before': { TYPE: 'ext4', UUID: 'root-uuid' },
  '/dev/vg/root': { TYPE: 'ext4', UUID: 'root-uuid' },
};

/** A partitioned array over a whole disk, LVM on its second partition, and a volume whose disk is missing. */
const { session } = answeringSession({
  list_devices: () => ['/dev/sda'],
  list_partitions: () => ['/dev/md127p1', '/dev/md127p2'],
  list_md_devices: () => ['/dev/md127'],
  md_detail: () => ({ uuid: 'a:b:c:d', name: 'host:root' }),
  lvs: () => ['/dev/vg/before', '/dev/vg/root', '/dev/vg/lost'],
  debug: () => '  vg|before|root\n  vg|lost|\n  vg|root|\n',
  blkid: (device: string) => TAGS[device] ?? {},
  blockdev_getsize64: (device: string) => {
    if (device === '/dev/vg/lost') throw callError('blockdev_getsize64', 'No such device', 6);
    return 1 << 20;
  },
});

it('lists the partitions of an array, and warns of a volume that cannot be read', async () => {
  const warnings: Warnings = [];
  const storage = await readStorage(session, { keys: [], controllers: [null] }, warnings);
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
    { code: 'inspect.skipped', message: expect.stringMatching(/^\/dev\/vg\/lost .*No such device/) },
  ]);
  const tree = treeOf({ '/etc/mdadm.conf': 'ARRAY /dev/md0 UUID=a:b:c:d\n' });
  const physical = { filesystems, controllers: [null] };
  const context = { ...physical, aliases: volumeAliases(tree, physical, storage) };
  for (const name of ['/dev/md0p1', '/dev/md/root1', 'PARTUUID=aa-01'])
    expect(resolveDevice(name, context)?.uuid).toBe('boot-uuid');
});
