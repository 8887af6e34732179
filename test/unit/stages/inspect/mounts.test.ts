import { describe, expect, it } from 'vitest';
import { callError } from '../../../../src/appliance/errors.js';
import { mountSystem } from '../../../../src/stages/inspect/mounts.js';
import type { Warnings } from '../../../../src/stages/inspect/tolerate.js';
import { filesystem, treeOf } from '../../families/guests.js';
import { answeringSession } from './session.js';

const ESP = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b';
const devices = {
  controllers: ['scsi0:0'],
  filesystems: [
    filesystem('/dev/sda1', 'vfat', 'AAAA-0001', { parttype: ESP }),
    filesystem('/dev/sda2', 'ext4', 'root-uuid'),
    filesystem('/dev/sda3', 'ext4', 'boot-uuid'),
  ],
};
const root = { device: '/dev/sda2', options: '', names: [], isSelfMounted: true, sharesName: null };
const ROOT_LINE = 'UUID=root-uuid / ext4 defaults 0 1\n';

/** What is mounted in a guest with these directories (and the names in them). */
async function mounted(fstab: string, directories: Record<string, string[]>) {
  const { session, calls } = answeringSession({
    mount_options: () => undefined,
    is_dir: (path: string) => path in directories,
    ls: (path: string) => directories[path] ?? [],
  });
  const mounts = await mountSystem(session, treeOf({ '/etc/fstab': fstab }), devices, root, []);
  expect(calls.filter(([name]) => name === 'mount_options')).toEqual(
    mounts.map(({ device, mountpoint }) => ['mount_options', 'ro', device, mountpoint]),
  );
  return mounts.map(({ device, mountpoint }) => `${device} ${mountpoint}`);
}

describe('an ESP that fstab does not mount', () => {
  it('goes to /boot/efi and does not hide the kernels in /boot', async () => {
    const directories = { '/boot': ['vmlinuz-6.1.0', 'efi'], '/boot/efi': [] };
    expect(await mounted(ROOT_LINE, directories)).toEqual(['/dev/sda1 /boot/efi']);
  });

  it('is not mounted where only a /boot with kernels could take it', async () => {
    expect(await mounted(ROOT_LINE, { '/boot': ['vmlinuz-6.1.0'] })).toEqual([]);
  });

  it('goes to an empty /boot, as systemd mounts it there', async () => {
    expect(await mounted(ROOT_LINE, { '/boot': [] })).toEqual(['/dev/sda1 /boot']);
  });

  it('is looked for a place below a /boot of its own after that is mounted', async () => {
    const directories = { '/boot': ['efi'], '/boot/efi': [] };
    expect(await mounted(`${ROOT_LINE}UUID=boot-uuid /boot ext4 defaults 0 2\n`, directories)).toEqual([
      '/dev/sda3 /boot',
      '/dev/sda1 /boot/efi',
    ]);
  });
});

it('refuses a /boot that is there twice, and leaves another such mount alone', async () => {
  const twice = filesystem('/dev/sdb3', 'ext4', 'boot-uuid');
  const copied = { ...devices, filesystems: [...devices.filesystems, twice] };
  const mount = (mountpoint: string) => {
    const { session } = answeringSession({ mount_options: () => undefined, is_dir: () => false });
    const tree = treeOf({ '/etc/fstab': `UUID=boot-uuid ${mountpoint} ext4 defaults 0 2\n` });
    return mountSystem(session, tree, copied, root, []);
  };
  await expect(mount('/boot')).rejects.toMatchObject({ code: 'inspect.duplicate-uuid' });
  expect(await mount('/var')).toEqual([]);
});

describe('a filesystem that cannot be mounted', () => {
  const refusing = (mountpoint: string) =>
    answeringSession({
      mount_options: (_options: string, _device: string, at: string) => {
        if (at === mountpoint) throw callError('mount_options', 'no such directory', 2);
      },
      is_dir: () => false,
    }).session;
  const fstab = `${ROOT_LINE}UUID=boot-uuid /boot ext4 defaults 0 2\nUUID=AAAA-0001 /boot/efi vfat defaults 0 1\n`;

  it('is left out with a warning where the plan can do without it', async () => {
    const warnings: Warnings = [];
    const tree = treeOf({ '/etc/fstab': fstab });
    const mounts = await mountSystem(refusing('/boot/efi'), tree, devices, root, warnings);
    expect(mounts.map(({ mountpoint }) => mountpoint)).toEqual(['/boot']);
    expect(warnings).toMatchObject([{ message: expect.stringContaining('/boot/efi (/dev/sda1)') }]);
  });

  it('fails the VM where it has the kernels, by the name of the mount point', async () => {
    const mounting = mountSystem(refusing('/boot'), treeOf({ '/etc/fstab': fstab }), devices, root, []);
    await expect(mounting).rejects.toMatchObject({
      code: 'inspect.unmountable',
      message: expect.stringContaining('/boot'),
    });
  });
});

it('mounts in the order of the paths, whatever order fstab has', async () => {
  const fstab = `UUID=AAAA-0001 /boot/efi vfat umask=0077 0 1\nUUID=boot-uuid /boot ext4 defaults 0 2\n${ROOT_LINE}`;
  expect(await mounted(fstab, {})).toEqual(['/dev/sda3 /boot', '/dev/sda1 /boot/efi']);
});
