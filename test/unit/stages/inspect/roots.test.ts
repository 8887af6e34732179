import { describe, expect, it } from 'vitest';
import { callError, diedError } from '../../../../src/guest/appliance-errors.js';
import { chooseRoot, findRoots, mountsItself, type Root } from '../../../../src/stages/inspect/roots.js';
import { filesystem } from '../../fixers/guests.js';
import { answeringSession } from './session.js';

const btrfs = filesystem('/dev/sda1', 'btrfs', 'root-uuid');
const context = { filesystems: [btrfs], controllers: [null] };
const at = (options: string) => ({ filesystem: btrfs, options });
const root = (options: string, isSelfMounted: boolean, device = '/dev/sda1'): Root => ({
  device,
  options,
  names: [],
  isSelfMounted,
});

describe('mountsItself', () => {
  const fstab =
    '# /\n/dev/sda1\t/\tbtrfs\tdefaults,subvol=@\t0\t0\n/dev/sda1\t/home\tbtrfs\tsubvol=@home\t0\t0\n';

  it('tells the subvolume that fstab mounts at / from a snapshot of it', () => {
    expect(mountsItself(fstab, at('subvol=@'), context)).toBe(true);
    expect(mountsItself(fstab, at('subvol=@apt-snapshot-2026-01-01'), context)).toBe(false);
  });

  it('takes openSUSE’s leading slash, and a line without subvol for the default subvolume', () => {
    expect(mountsItself('UUID=root-uuid / btrfs subvol=/@ 0 0\n', at('subvol=@'), context)).toBe(true);
    expect(mountsItself('UUID=root-uuid / btrfs defaults 0 0\n', at(''), context)).toBe(true);
  });

  it('is false for a root that was copied from another disk', () => {
    expect(mountsItself('UUID=other-uuid / btrfs defaults 0 0\n', at(''), context)).toBe(false);
  });
});

describe('chooseRoot', () => {
  const search = (...roots: Root[]) => ({ roots, unmountable: [], windows: null });

  it('prefers the root whose fstab mounts itself, wherever it was found', () => {
    const chosen = chooseRoot(
      search(root('subvol=@apt-snapshot', false), root('subvol=@', true)),
      context.filesystems,
    );
    expect(chosen.options).toBe('subvol=@');
    const second = filesystem('/dev/sdb1', 'ext4', 'b', { size: 1 });
    expect(chooseRoot(search(root('', false), root('', true, '/dev/sdb1')), [btrfs, second]).device).toBe(
      '/dev/sdb1',
    );
  });

  it('names LUKS only where a container is closed', () => {
    const luks = filesystem('/dev/sda3', 'crypto_LUKS', 'luks-uuid');
    expect(() => chooseRoot(search(), [luks])).toThrowError(
      expect.objectContaining({ code: 'inspect.encrypted', advice: expect.stringContaining('guest.luks') }),
    );
    const open = filesystem('/dev/mapper/luks-luks-uuid', 'ext4', 'x');
    expect(() => chooseRoot(search(), [luks, open])).toThrowError(
      expect.objectContaining({ code: 'inspect.no-os' }),
    );
  });
});

describe('findRoots', () => {
  const good = filesystem('/dev/sda2', 'ext4', 'root-uuid');
  /** `/dev/sda1` is a btrfs whose subvolume `broken` cannot be mounted, `/dev/sda2` has a system. */
  const guest = (failure: Error) => {
    let mounted = '';
    return answeringSession({
      mount_options: (options: string, device: string) => {
        if (options.includes('broken')) throw failure;
        mounted = device;
      },
      umount_all: () => undefined,
      ls: () => (mounted === '/dev/sda2' ? ['etc', 'usr', 'bin'] : ['data']),
      btrfs_subvolume_list: () => [
        { id: 256, parent: 5, path: 'broken' },
        { id: 257, parent: 5, path: '.snapshots/1' },
      ],
      is_file: () => false,
    }).session;
  };

  it('notes a subvolume that cannot be mounted and finds the system elsewhere', async () => {
    const { roots, unmountable } = await findRoots(
      guest(callError('mount', 'bad', 5)),
      [btrfs, good],
      [null],
    );
    expect(roots.map(({ device }) => device)).toEqual(['/dev/sda2']);
    expect(unmountable.map(({ device }) => device)).toEqual(['/dev/sda1 (subvol=broken)']);
  });

  it('does not take a lost appliance for a broken filesystem', async () => {
    const search = findRoots(guest(diedError('mount_options', 'killed', '')), [btrfs, good], [null]);
    await expect(search).rejects.toMatchObject({ code: 'guest.died' });
  });
});
