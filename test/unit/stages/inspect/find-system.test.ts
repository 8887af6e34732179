import { expect, it } from 'vitest';
import { Hyper2kvmError } from '../../../../src/errors/error.js';
import type { Filesystem } from '../../../../src/model/identity.js';
import { findSystem } from '../../../../src/stages/inspect/find-system.js';
import { type MemoryDisks, type MemoryFiles, memoryGuest } from '../../access/memory-guest.js';
import { filesystem } from '../../families/guests.js';

const LINUX = { '/etc/fstab': '', '/usr/': null };
const luks = filesystem('/dev/sda3', 'crypto_LUKS', 'luks-uuid');

/** What is found on these filesystems; those without files cannot be mounted. */
function find(
  filesystems: Filesystem[],
  files: Record<string, MemoryFiles>,
  { duplicateGroups = [], refuse }: { duplicateGroups?: string[]; refuse?: MemoryDisks['refuse'] } = {},
) {
  const storage = { partitions: [], filesystems, unlocked: [], arrays: [], duplicateGroups };
  const { reader } = memoryGuest({ filesystems: files, ...(refuse ? { refuse } : {}) });
  return findSystem(reader, { storage, controllers: [null], chosenRoot: null });
}

it('is Linux where both it and Windows are installed; a broken filesystem beside it is named', async () => {
  const [ntfs, root] = [filesystem('/dev/sda1', 'ntfs', 'n'), filesystem('/dev/sda2', 'ext4', 'r')];
  const broken = filesystem('/dev/sda5', 'xfs', 'x');
  const found = await find([ntfs, broken, root], { '/dev/sda1': { '/Windows/': null }, '/dev/sda2': LINUX });
  expect(found).toMatchObject({ family: { os: 'linux' }, root: { device: '/dev/sda2', options: '' } });
  expect(found.unmountable).toMatchObject([{ device: '/dev/sda5' }]);
});

it.each([
  [
    'an NTFS without the hives of Windows',
    'inspect.no-os',
    [filesystem('/dev/sda2', 'ntfs', 'n')],
    { '/dev/sda2': { '/WINDOWS/System32/config/SYSTEM': 'x' } },
  ],
  ['a damaged NTFS', 'inspect.unmountable', [filesystem('/dev/sda2', 'ntfs', 'n')], {}],
  ['BitLocker', 'inspect.bitlocker', [filesystem('/dev/sda2', 'BitLocker', null)], {}],
  ['a closed container', 'inspect.encrypted', [luks], {}],
  [
    'an open container without a system',
    'inspect.no-os',
    [luks, filesystem('/dev/mapper/luks-luks-uuid', 'ext4', 'x')],
    { '/dev/mapper/luks-luks-uuid': {} },
  ],
  ['a damaged filesystem', 'inspect.unmountable', [filesystem('/dev/sda1', 'ext4', 'x')], {}],
  ['data', 'inspect.no-os', [filesystem('/dev/sda1', 'ext4', 'x')], { '/dev/sda1': { '/data': null } }],
])('is refused by its own name where all there is is %s', async (_, code, filesystems, files) => {
  await expect(find(filesystems, files)).rejects.toMatchObject({ code });
});

it.each([
  [
    'a closed container, not the pool of ZFS',
    'inspect.encrypted',
    [luks, filesystem('/dev/sdb1', 'zfs_member', 'z')],
    {},
  ],
])('names what hides a system before one that stays as it is: %s', async (_, code, filesystems, files) => {
  await expect(find(filesystems, files as Record<string, MemoryFiles>)).rejects.toMatchObject({ code });
});

it('is Windows, not the DOS of its vendor', async () => {
  const found = await find([filesystem('/dev/sda1', 'vfat', 'A-B'), filesystem('/dev/sda2', 'ntfs', 'n')], {
    '/dev/sda1': { '/COMMAND.COM': '', '/IO.SYS': '' },
    '/dev/sda2': { '/Windows/System32/config/SYSTEM': '', '/Windows/System32/config/SOFTWARE': '' },
  });
  expect(found).toMatchObject({ family: { os: 'windows' }, root: { device: '/dev/sda2' } });
});

it('names the container and the way to give its key', async () => {
  await expect(find([luks], {})).rejects.toMatchObject({
    message: expect.stringContaining('/dev/sda3'),
    advice: expect.stringContaining('guest.luks'),
  });
});

it('names volume groups of one name, in which LVM shows nothing', async () => {
  const pv = filesystem('/dev/sda2', 'LVM2_member', 'pv');
  await expect(find([pv], {}, { duplicateGroups: ['vg0'] })).rejects.toMatchObject({
    code: 'inspect.duplicate-vg',
    message: expect.stringContaining('vg0'),
    advice: expect.stringContaining('vgrename'),
  });
  const found = await find(
    [pv, filesystem('/dev/sda1', 'ext4', 'r')],
    { '/dev/sda1': LINUX },
    { duplicateGroups: ['vg0'] },
  );
  expect(found.root.device).toBe('/dev/sda1');
});

it('does not call a filesystem damaged that is newer than the appliance’s kernel', async () => {
  const refuse = (call: string) => {
    if (call === 'mount') throw new Hyper2kvmError('guest.filesystem-too-new', 'unknown features');
  };
  await expect(find([filesystem('/dev/sda1', 'xfs', 'x')], {}, { refuse })).rejects.toMatchObject({
    code: 'guest.filesystem-too-new',
    message: expect.stringContaining('/dev/sda1'),
    advice: expect.stringContaining('newer kernel'),
  });
});
