import { describe, expect, it } from 'vitest';
import type { Warnings } from '../../../../../src/access/tolerate.js';
import { Hyper2kvmError } from '../../../../../src/errors/error.js';
import { mountSystem } from '../../../../../src/families/linux/inspect/mounts.js';
import { type MemoryFiles, memoryGuest } from '../../../access/memory-guest.js';
import { filesystem, treeOf } from '../../guests.js';

const ESP = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b';
const devices = {
  controllers: ['scsi0:0'],
  filesystems: [
    filesystem('/dev/sda1', 'vfat', 'AAAA-0001', { parttype: ESP }),
    filesystem('/dev/sda2', 'ext4', 'root-uuid'),
    filesystem('/dev/sda3', 'ext4', 'boot-uuid'),
  ],
};
const root = { device: '/dev/sda2', options: '' };
const ROOT_LINE = 'UUID=root-uuid / ext4 defaults 0 1\n';

/** The guest with this fstab and these files, its root mounted, and its filesystems beside the ESP. */
async function guestWith(
  fstab: string,
  files: MemoryFiles,
  others: Record<string, MemoryFiles> = { '/dev/sda3': { '/efi/': null } },
  units: Record<string, string> = {},
) {
  const all = { '/etc/fstab': fstab, ...files };
  const { reader, calls } = memoryGuest({
    filesystems: { '/dev/sda1': {}, '/dev/sda2': all, ...others },
  });
  await reader.mount({ ...root, mountpoint: '/' }, 'ro');
  calls.length = 0;
  return { reader, calls, tree: treeOf({ '/etc/fstab': fstab, ...units }) };
}

/** What is mounted in a guest with this fstab and these files. */
async function mounted(fstab: string, files: MemoryFiles, units: Record<string, string> = {}) {
  const { reader, calls, tree } = await guestWith(fstab, files, undefined, units);
  const mounts = await mountSystem(reader, tree, devices, root, []);
  expect(calls.filter((call) => call.startsWith('mount '))).toEqual(
    mounts.map(({ device, mountpoint }) => `mount ${mountpoint} ${device} ro`),
  );
  return mounts.map(({ device, mountpoint }) => `${device} ${mountpoint}`);
}

describe('an ESP that fstab does not mount', () => {
  it('is not mounted over a link: it would hide what that leads to', async () => {
    expect(await mounted(ROOT_LINE, { '/efi': '-> /srv', '/srv/': null })).toEqual([]);
  });

  it('goes to /boot/efi and does not hide the kernels in /boot', async () => {
    const files = { '/boot/vmlinuz-6.1.0': null, '/boot/efi/': null };
    expect(await mounted(ROOT_LINE, files)).toEqual(['/dev/sda1 /boot/efi']);
  });

  it('is not mounted where only a /boot with kernels could take it', async () => {
    expect(await mounted(ROOT_LINE, { '/boot/vmlinuz-6.1.0': null })).toEqual([]);
  });

  it('goes over an empty directory where it has no place of its own', async () => {
    const files = { '/boot/vmlinuz-6.1.0': null, '/mnt/': null };
    expect(await mounted(ROOT_LINE, files)).toEqual(['/dev/sda1 /mnt']);
    expect(await mounted(ROOT_LINE, { ...files, '/mnt/data': null })).toEqual([]);
  });

  it('goes to an empty /boot, as systemd mounts it there', async () => {
    expect(await mounted(ROOT_LINE, { '/boot/': null })).toEqual(['/dev/sda1 /boot']);
  });

  it('is looked for a place below a /boot of its own after that is mounted', async () => {
    const fstab = `${ROOT_LINE}UUID=boot-uuid /boot ext4 defaults 0 2\n`;
    expect(await mounted(fstab, { '/boot/': null })).toEqual(['/dev/sda3 /boot', '/dev/sda1 /boot/efi']);
  });
});

it('refuses a /boot that is there twice, and leaves another such mount alone', async () => {
  const twice = filesystem('/dev/sdb3', 'ext4', 'boot-uuid');
  const copied = { ...devices, filesystems: [...devices.filesystems, twice] };
  const mount = async (mountpoint: string) => {
    const { reader, tree } = await guestWith(`UUID=boot-uuid ${mountpoint} ext4 defaults 0 2\n`, {});
    return mountSystem(reader, tree, copied, root, []);
  };
  await expect(mount('/boot')).rejects.toMatchObject({ code: 'inspect.duplicate-uuid' });
  expect(await mount('/var')).toEqual([]);
});

describe('a filesystem that cannot be mounted', () => {
  const fstab = `${ROOT_LINE}UUID=boot-uuid /boot ext4 defaults 0 2\nUUID=AAAA-0001 /boot/efi vfat defaults 0 1\n`;
  it('is left out with a warning where the plan can do without it', async () => {
    const warnings: Warnings = [];
    const { reader, tree } = await guestWith(fstab, { '/boot/': null }, { '/dev/sda3': {} });
    const mounts = await mountSystem(reader, tree, devices, root, warnings);
    expect(mounts.map(({ mountpoint }) => mountpoint)).toEqual(['/boot']);
    expect(warnings).toMatchObject([{ message: expect.stringContaining('/boot/efi (/dev/sda1)') }]);
  });

  it('is not called damaged where it is only newer than the appliance’s kernel', async () => {
    const { reader, tree } = await guestWith(fstab, { '/boot/': null }, {});
    const mount: typeof reader.mount = async () => {
      throw new Hyper2kvmError('guest.filesystem-too-new', 'unknown features');
    };
    await expect(mountSystem({ ...reader, mount }, tree, devices, root, [])).rejects.toMatchObject({
      code: 'guest.filesystem-too-new',
      message: expect.stringContaining('/dev/sda3 (/boot)'),
    });
  });

  it('fails the VM where it has the kernels, by the name of the mount point', async () => {
    const { reader, tree } = await guestWith(fstab, { '/boot/': null }, {});
    await expect(mountSystem(reader, tree, devices, root, [])).rejects.toMatchObject({
      code: 'inspect.unmountable',
      message: expect.stringContaining('/boot'),
    });
  });
});

it('mounts in the order of the paths, whatever order fstab has', async () => {
  const fstab = `UUID=AAAA-0001 /boot/efi vfat umask=0077 0 1\nUUID=boot-uuid /boot ext4 defaults 0 2\n${ROOT_LINE}`;
  expect(await mounted(fstab, { '/boot/': null })).toEqual(['/dev/sda3 /boot', '/dev/sda1 /boot/efi']);
});

describe('an ESP that fstab mounts', () => {
  it.each(['/boot/EFI', '/boot/esp', '/boot/efi/', '/esp', '/system/loader'])(
    'at %s is known by its partition’s type',
    async (place) => {
      const files = { [`${place}/`.replace('//', '/')]: null, '/mnt/': null };
      const line = `UUID=AAAA-0001 ${place} vfat defaults 0 1\n`;
      expect(await mounted(ROOT_LINE + line, files)).toEqual([`/dev/sda1 ${place.replace(/\/$/, '')}`]);
    },
  );

  it('is taken before another one that nothing mounts', async () => {
    const second = filesystem('/dev/sdb1', 'vfat', 'BBBB-0002', { parttype: ESP });
    const { reader, tree } = await guestWith(
      `${ROOT_LINE}UUID=BBBB-0002 /boot/efi vfat defaults 0 1\n`,
      { '/boot/efi/': null, '/mnt/': null },
      { '/dev/sdb1': {} },
    );
    const two = { ...devices, filesystems: [...devices.filesystems, second] };
    const mounts = await mountSystem(reader, tree, two, root, []);
    expect(mounts).toEqual([{ device: '/dev/sdb1', mountpoint: '/boot/efi', options: '' }]);
  });
});

it.each(['/boot/', '//boot', '/boot//', '/./boot'])('takes %s for /boot', async (place) => {
  const line = `UUID=boot-uuid ${place} ext4 defaults 0 2\n`;
  expect((await mounted(ROOT_LINE + line, { '/boot/': null }))[0]).toBe('/dev/sda3 /boot');
});

describe('a system mount in a unit', () => {
  const unit = (what: string) => `[Mount]\nWhat=${what}\nWhere=/boot/\nType=ext4\n`;
  const UNIT = '/etc/systemd/system/boot.mount';

  it('is mounted as one in fstab', async () => {
    const found = await mounted('', { '/boot/': null }, { [UNIT]: unit('/dev/sda3') });
    expect(found[0]).toBe('/dev/sda3 /boot');
  });

  it('goes by its drop-ins, and before fstab', async () => {
    const units = {
      [UNIT]: unit('/dev/sdq9'),
      [`${UNIT}.d/10-what.conf`]: '[Mount]\nWhat=/dev/disk/by-uuid/boot-uuid\n',
    };
    const fstab = 'UUID=AAAA-0001 /boot vfat defaults 0 2\n';
    const found = await mounted(fstab, { '/boot/': null }, units);
    expect(found[0]).toBe('/dev/sda3 /boot');
  });
});
