import { describe, expect, it } from 'vitest';
import { markBooted } from '../../../../../src/families/linux/inspect/booted-root.js';
import { chooseRoot } from '../../../../../src/families/linux/inspect/choose-root.js';
import { findRoots, selects } from '../../../../../src/families/linux/inspect/roots.js';
import type { Filesystem } from '../../../../../src/model/identity.js';
import { type MemoryDisks, type MemoryFiles, memoryGuest } from '../../../access/memory-guest.js';
import { filesystem } from '../../guests.js';

const ESP = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b';
const entry = (args: string) => `menuentry 'Linux' {\n\tlinux /vmlinuz ${args} ro quiet\n}\n`;
const system = (fstab: string, grub?: string): MemoryFiles => ({
  '/usr/': null,
  '/bin/': null,
  '/etc/fstab': fstab,
  ...(grub === undefined ? {} : { '/boot/grub/grub.cfg': grub }),
});

/** The root that is chosen, by device and options. */
async function chosen(filesystems: Filesystem[], disks: MemoryDisks): Promise<string | undefined> {
  const { reader } = memoryGuest(disks);
  const search = await findRoots(reader, filesystems, [null]);
  const roots = await markBooted(reader, search.roots, { filesystems, controllers: [null] });
  const root = chooseRoot({ ...search, roots }, filesystems);
  return root === null ? undefined : `${root.device} ${root.options}`.trim();
}

describe('of several roots that mount themselves', () => {
  const old = filesystem('/dev/sda2', 'ext4', 'aaaaaaaa-old', { size: 9 });
  const current = filesystem('/dev/sda3', 'ext4', 'bbbbbbbb-new', { size: 1 });
  const boot = filesystem('/dev/sda1', 'ext4', 'cccccccc-boot');
  const line = ({ uuid }: Filesystem) => `UUID=${uuid} / ext4 defaults 0 1\n`;

  it('takes the one that the entries of a /boot of its own start', async () => {
    const disks = {
      '/dev/sda1': { '/grub2/grub.cfg': entry('root=UUID=bbbbbbbb-new') + entry('root=UUID=aaaaaaaa-old') },
      '/dev/sda2': system(line(old), entry('root=UUID=aaaaaaaa-old')),
      '/dev/sda3': system(line(current)),
    };
    expect(await chosen([boot, old, current], { filesystems: disks })).toBe('/dev/sda3');
  });

  it.each<[string, MemoryFiles]>([
    [
      'GRUB’s own entries, not those by hand',
      {
        '/grub2/custom.cfg': entry('root=UUID=aaaaaaaa-old'),
        '/grub2/grub.cfg': entry('root=UUID=bbbbbbbb-new'),
      },
    ],
    [
      'the newest entry of the Boot Loader Specification',
      {
        '/loader/entries/id-4.18.0-80.conf': 'linux /vmlinuz-4.18.0-80\noptions root=UUID=aaaaaaaa-old\n',
        '/loader/entries/id-5.14.0-1.conf': 'linux /vmlinuz-5.14.0-1\noptions root=UUID=bbbbbbbb-new\n',
      },
    ],
  ])('takes the one of %s', async (_, files) => {
    const disks = {
      '/dev/sda1': files,
      '/dev/sda2': system(line(old)),
      '/dev/sda3': system(line(current)),
    };
    expect(await chosen([boot, old, current], { filesystems: disks })).toBe('/dev/sda3');
  });

  it('takes it though its own fstab says nothing of /', async () => {
    const disks = {
      '/dev/sda1': { '/loader/entries/a.conf': 'title A\noptions root=UUID=bbbbbbbb-new rw\n' },
      '/dev/sda2': system(line(old)),
      '/dev/sda3': system(''),
    };
    expect(await chosen([boot, old, current], { filesystems: disks })).toBe('/dev/sda3');
  });

  it('follows the ESP to the root whose GRUB is started', async () => {
    const esp = filesystem('/dev/sda1', 'vfat', 'ABCD-1234', { parttype: ESP });
    const disks = {
      '/dev/sda1': {
        '/EFI/debian/grub.cfg':
          "search.fs_uuid bbbbbbbb-new root hd0,gpt3\nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n",
      },
      '/dev/sda2': system(line(old), entry('root=UUID=aaaaaaaa-old')),
      '/dev/sda3': system(line(current), entry('root=UUID=bbbbbbbb-new')),
    };
    expect(await chosen([esp, old, current], { filesystems: disks })).toBe('/dev/sda3');
  });

  it('goes by disk and size where no entry tells', async () => {
    const disks = { '/dev/sda2': system(line(old)), '/dev/sda3': system(line(current)) };
    expect(await chosen([old, current], { filesystems: disks })).toBe('/dev/sda2');
  });

  it('passes over what cannot be mounted', async () => {
    const disks = { '/dev/sda2': system(line(old)), '/dev/sda3': system(line(current)) };
    expect(await chosen([boot, old, current], { filesystems: disks })).toBe('/dev/sda2');
  });
});

describe('of several btrfs subvolumes', () => {
  const btrfs = filesystem('/dev/sda2', 'btrfs', 'aaaaaaaa-btrfs');
  const esp = filesystem('/dev/sda1', 'vfat', 'ABCD-1234', { parttype: ESP });
  const subvolumes = [
    { id: 256, path: '@old' },
    { id: 257, path: '@' },
  ];
  const fstab = (id: number) => `UUID=aaaaaaaa-btrfs / btrfs rw,noatime,subvolid=${id} 0 0\n`;

  it('takes the one that its own entries start by number', async () => {
    const disks = {
      '/dev/sda2': {},
      '/dev/sda2,subvol=@old': system(fstab(256), entry('root=UUID=aaaaaaaa-btrfs')),
      '/dev/sda2,subvol=@': system(fstab(257), entry('root=UUID=aaaaaaaa-btrfs rootflags=subvolid=257')),
    };
    expect(await chosen([btrfs], { filesystems: disks, subvolumes })).toBe('/dev/sda2 subvol=@');
  });

  it('takes the one in whose /boot the ESP finds GRUB', async () => {
    const own = (path: string) => entry(`root=UUID=aaaaaaaa-btrfs rootflags=subvol=${path}`);
    const disks = {
      '/dev/sda1': {
        '/EFI/ubuntu/grub.cfg':
          "search.fs_uuid aaaaaaaa-btrfs root\nset prefix=($root)'/@/boot/grub'\nconfigfile $prefix/grub.cfg\n",
      },
      '/dev/sda2': {},
      '/dev/sda2,subvol=@old': system(fstab(256), own('@old')),
      '/dev/sda2,subvol=@': system(fstab(257), own('@')),
    };
    expect(await chosen([esp, btrfs], { filesystems: disks, subvolumes })).toBe('/dev/sda2 subvol=@');
  });

  it.each([
    [['subvol=/@'], true],
    [['subvol=@/'], true],
    [['subvolid=257'], true],
    [['subvol=@', 'subvolid=999'], true],
    [['subvolid=256'], false],
    [['subvolid=5'], false],
    [['subvol=/'], false],
    [[], false],
  ])('%j means @: %s', (options, isMeant) => {
    expect(selects(options, { options: 'subvol=@', subvolume: 257 })).toBe(isMeant);
  });

  it.each([[['subvolid=5']], [['subvolid=0']], [['subvol=/']], [[]]])('%j means the top', (options) => {
    expect(selects(options, { options: '' })).toBe(true);
  });
});

it('finds a root that only a mount unit names', async () => {
  const one = filesystem('/dev/sda2', 'ext4', 'one', { size: 9 });
  const two = filesystem('/dev/sda3', 'ext4', 'two', { size: 1 });
  const unit = '[Mount]\nWhat=/dev/disk/by-uuid/two\nWhere=/\nType=ext4\n';
  const disks = {
    '/dev/sda2': system(''),
    '/dev/sda3': { ...system(''), '/etc/systemd/system/-.mount': unit },
  };
  const { reader } = memoryGuest({ filesystems: disks });
  const search = await findRoots(reader, [one, two], [null]);
  expect(chooseRoot(search, [one, two])?.device).toBe('/dev/sda3');
});
