import { describe, expect, it } from 'vitest';
import { Hyper2kvmError } from '../../../../../src/errors/error.js';
import { chooseRoot } from '../../../../../src/families/linux/inspect/choose-root.js';
import { findRoots, mountsItself, type Root } from '../../../../../src/families/linux/inspect/roots.js';
import { parseFstab } from '../../../../../src/guest/fstab.js';
import { memoryGuest, refused } from '../../../access/memory-guest.js';
import { filesystem } from '../../guests.js';

const btrfs = filesystem('/dev/sda1', 'btrfs', 'root-uuid');
const context = { filesystems: [btrfs], controllers: [null] };
const at = (options: string) => ({ filesystem: btrfs, options });
const root = (options: string, isSelfMounted: boolean, device = '/dev/sda1'): Root => ({
  device,
  options,
  isSelfMounted,
  sharesName: null,
});

describe('mountsItself', () => {
  const fstab =
    '# /\n/dev/sda1\t/\tbtrfs\tdefaults,subvol=@\t0\t0\n/dev/sda1\t/home\tbtrfs\tsubvol=@home\t0\t0\n';

  it('tells the subvolume that fstab mounts at / from a snapshot of it', () => {
    expect(mountsItself(parseFstab(fstab), at('subvol=@'), context)).toBe(true);
    expect(mountsItself(parseFstab(fstab), at('subvol=@apt-snapshot-2026-01-01'), context)).toBe(false);
  });

  it('takes openSUSE’s leading slash, and a line without subvol for the default subvolume', () => {
    expect(mountsItself(parseFstab('UUID=root-uuid / btrfs subvol=/@ 0 0\n'), at('subvol=@'), context)).toBe(
      true,
    );
    expect(mountsItself(parseFstab('UUID=root-uuid / btrfs defaults 0 0\n'), at(''), context)).toBe(true);
  });

  it('goes by the subvolume’s number where fstab has no path', () => {
    const line = 'UUID=root-uuid / btrfs defaults,subvolid=257 0 0\n';
    expect(mountsItself(parseFstab(line), { ...at('subvol=@'), subvolume: 257 }, context)).toBe(true);
    expect(mountsItself(parseFstab(line), { ...at('subvol=@old'), subvolume: 256 }, context)).toBe(false);
    expect(mountsItself(parseFstab(line), at(''), context)).toBe(false);
  });

  it('is false for a root that was copied from another disk', () => {
    expect(mountsItself(parseFstab('UUID=other-uuid / btrfs defaults 0 0\n'), at(''), context)).toBe(false);
  });
});

describe('chooseRoot', () => {
  const search = (...roots: Root[]) => ({ roots, unmountable: [] });

  it('prefers the root whose fstab mounts itself, wherever it was found', () => {
    const chosen = chooseRoot(
      search(root('subvol=@apt-snapshot', false), root('subvol=@', true)),
      context.filesystems,
    );
    expect(chosen?.options).toBe('subvol=@');
    const second = filesystem('/dev/sdb1', 'ext4', 'b', { size: 1 });
    expect(chooseRoot(search(root('', false), root('', true, '/dev/sdb1')), [btrfs, second])?.device).toBe(
      '/dev/sdb1',
    );
  });

  const copies = [
    filesystem('/dev/sda1', 'ext4', 'same'),
    filesystem('/dev/sdb1', 'ext4', 'same', { partuuid: 'deadbeef-01' }),
  ];

  it('refuses copies of one root by their names, where only a UUID tells which is mounted', () => {
    const sharesName = { spec: 'UUID=same', devices: ['/dev/sda1', '/dev/sdb1'] };
    const same = copies.map(({ device }) => ({ ...root('', false, device), sharesName }));
    const duplicate = { code: 'inspect.duplicate-uuid', message: expect.stringContaining('/dev/sdb1') };
    expect(() => chooseRoot(search(...same), copies)).toThrowError(expect.objectContaining(duplicate));
    const silent = copies.map(({ device }) => root('', false, device));
    expect(() => chooseRoot(search(...silent), copies)).toThrowError(expect.objectContaining(duplicate));
  });

  it('takes the copy that fstab names by its place, and one that mounts itself before all copies', () => {
    const roots = [root('', false), root('', true, '/dev/sdb1')];
    expect(chooseRoot(search(...roots), copies)?.device).toBe('/dev/sdb1');
    const other = filesystem('/dev/sdc1', 'ext4', 'other');
    const three = [...copies.map(({ device }) => root('', false, device)), root('', true, '/dev/sdc1')];
    expect(chooseRoot(search(...three), [...copies, other])?.device).toBe('/dev/sdc1');
  });

  it('does not take the devices of one btrfs for copies, but copies of one for copies', () => {
    const pair = (members: [string, string]) =>
      members.map((member, index) => filesystem(`/dev/sd${'ab'[index]}1`, 'btrfs', 'same', { member }));
    const roots = ['/dev/sda1', '/dev/sdb1'].map((device) => root('', false, device));
    expect(chooseRoot(search(...roots), pair(['one', 'two']))?.device).toBe('/dev/sda1');
    expect(() => chooseRoot(search(...roots), pair(['one', 'one']))).toThrowError(
      expect.objectContaining({ code: 'inspect.duplicate-uuid' }),
    );
  });

  it('refuses a root in a volume group that is there twice', () => {
    const volume = filesystem('/dev/vg/root', 'ext4', 'root-uuid');
    const pvs = ['a', 'b'].map((disk) => filesystem(`/dev/sd${disk}2`, 'LVM2_member', 'pv'));
    expect(() => chooseRoot(search(root('', true, '/dev/vg/root')), [...pvs, volume])).toThrowError(
      expect.objectContaining({ code: 'inspect.duplicate-uuid' }),
    );
  });
});

describe('findRoots', () => {
  const good = filesystem('/dev/sda2', 'ext4', 'root-uuid');
  const SYSTEM = { '/etc/': null, '/usr/': null, '/bin/': null };
  /** `/dev/sda1` is a btrfs whose subvolume `broken` cannot be mounted, `/dev/sda2` has a system. */
  const guest = (failure: Error) =>
    memoryGuest({
      filesystems: { '/dev/sda1': { '/data': null }, '/dev/sda2': SYSTEM },
      subvolumes: [
        { id: 256, path: 'broken' },
        { id: 257, path: '.snapshots/1' },
      ],
      refuse(_call, _path, _device, options) {
        if (options?.includes('broken')) throw failure;
      },
    }).reader;

  describe('with a snapshot of the root', () => {
    const origin = filesystem('/dev/vg/root', 'ext4', 'same');
    const snapshot = filesystem('/dev/vg/a', 'ext4', 'same', { snapshot_of: '/dev/vg/root' });
    const lvm = (fstab: string) => {
      const files = { ...SYSTEM, '/etc/fstab': fstab };
      const { reader, calls } = memoryGuest({ filesystems: { '/dev/vg/root': files, '/dev/vg/a': files } });
      const all = [snapshot, origin];
      const choose = async () => chooseRoot(await findRoots(reader, all, [null]), all)?.device;
      return { calls, choose };
    };

    it.each(['UUID=same', '/dev/mapper/vg-root'])('takes the origin that %s means', async (spec) => {
      const { calls, choose } = lvm(`${spec} / ext4 defaults 0 1\n`);
      expect(await choose()).toBe('/dev/vg/root');
      // Its journal would be replayed into the snapshot.
      expect(calls.filter((call) => call.startsWith('mount '))).toEqual(['mount / /dev/vg/root ro']);
    });

    it('takes the snapshot where that is what fstab mounts', async () => {
      expect(await lvm('/dev/mapper/vg-a / ext4 defaults 0 1\n').choose()).toBe('/dev/vg/a');
    });

    it('takes the origin where nothing is said of /', async () => {
      expect(await lvm('').choose()).toBe('/dev/vg/root');
    });
  });

  it('notes a subvolume that cannot be mounted and finds the system elsewhere', async () => {
    const { roots, unmountable } = await findRoots(guest(refused('mount', 'EIO')), [btrfs, good], [null]);
    expect(roots.map(({ device }) => device)).toEqual(['/dev/sda2']);
    expect(unmountable.map(({ device }) => device)).toEqual(['/dev/sda1 (subvol=broken)']);
  });

  it.each([
    ['a link in a circle', '-> fstab'],
    ['larger than any', '#\n'.repeat(1 << 20)],
  ])('finds a system whose fstab is %s', async (_, fstab) => {
    const files = { ...SYSTEM, '/etc/fstab': fstab };
    const { reader, calls } = memoryGuest({ filesystems: { '/dev/sda2': files } });
    const { roots, unmountable } = await findRoots(reader, [good], [null]);
    expect([roots.length, unmountable.length]).toEqual([1, 0]);
    expect(calls).not.toContain('read /etc/fstab');
  });

  it('does not take a lost appliance for a broken filesystem', async () => {
    const lost = new Hyper2kvmError('guest.died', 'lost', { retryable: true });
    const search = findRoots(guest(lost), [btrfs, good], [null]);
    await expect(search).rejects.toMatchObject({ code: 'guest.died' });
  });
});
