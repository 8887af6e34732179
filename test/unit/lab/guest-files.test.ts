import { describe, expect, test } from 'vitest';
import { espGrubConfig, grubConfig, rootArguments } from '../../lab/boot-loaders.ts';
import { BROKEN_IN_TESTS } from '../../lab/broken-recipes.ts';
import { guestFiles } from '../../lab/guest-files.ts';
import { diskUuid, layOut, partitionAt } from '../../lab/layout.ts';
import { type GuestRecipe, RECIPES } from '../../lab/recipes.ts';

function textOf(recipe: GuestRecipe, path: string): string {
  const file = guestFiles(recipe)[path];
  if (file === undefined || !('content' in file)) throw new Error(`no file ${path}`);
  return file.content;
}

describe('a VMware guest', () => {
  const bios = RECIPES['bookworm-bios'];
  const uefi = RECIPES['bookworm-uefi'];

  test('names no filesystem in fstab by anything that survives a move', () => {
    const specs = textOf(bios, '/etc/fstab')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => line.split('\t')[0]);
    expect(specs).toEqual([
      '/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part1',
      '/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part2',
      '/dev/sda3',
      '/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part4',
    ]);
  });

  test('has no virtio driver in the list of its initramfs', () => {
    expect(textOf(bios, '/etc/initramfs-tools/conf.d/modules')).toBe('MODULES=list\n');
    expect(textOf(bios, '/etc/initramfs-tools/modules')).not.toContain('virtio');
  });

  test('ties the name of its NIC to MAC and driver, by udev rule or by .link', () => {
    expect(textOf(bios, '/etc/udev/rules.d/70-persistent-net.rules')).toContain(
      'DRIVERS=="vmxnet3", ATTR{address}=="00:50:56:01:02:03"',
    );
    const link = textOf(uefi, '/etc/systemd/network/10-ens192.link');
    expect(link).toContain('Driver=vmxnet3');
    expect(link).toContain('MACAddress=00:50:56:01:02:04');
  });

  test('is configured by networkd where the recipe says so', () => {
    const recipe: GuestRecipe = { ...bios, network: { ...bios.network, backend: 'networkd' } };
    expect(textOf(recipe, '/etc/systemd/network/20-wired.network')).toContain('Name=ens192');
    expect(guestFiles(recipe)).not.toHaveProperty('/etc/network/interfaces');
  });
});

describe('grubConfig', () => {
  test('takes paths from a /boot of its own', () => {
    const config = grubConfig(RECIPES['bookworm-bios'], '6.1.0-1-amd64');
    expect(config).toContain('linux	/vmlinuz-6.1.0-1-amd64 root=/dev/sda2 ro root=/dev/sda2 quiet\n');
    expect(config).toContain("set root='hd0,msdos1'");
  });

  test('takes paths from /boot on the root filesystem', () => {
    const disks = layOut(RECIPES['bookworm-uefi']);
    const config = grubConfig(RECIPES['bookworm-uefi'], '6.1.0-1-amd64');
    expect(config).toContain('linux	/boot/vmlinuz-6.1.0-1-amd64 root=/dev/sda2');
    expect(config).toContain(`--fs-uuid --set=root ${partitionAt(disks, '/').uuid}`);
  });
});

test('the stub on the ESP finds grub.cfg by the filesystem that holds it', () => {
  const disks = layOut(RECIPES['bookworm-uefi']);
  expect(espGrubConfig(RECIPES['bookworm-uefi'])).toBe(
    `search.fs_uuid ${partitionAt(disks, '/').uuid} root hd0,gpt2\nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n`,
  );
});

describe('a broken guest', () => {
  const units = BROKEN_IN_TESTS['bookworm-bios-by-id-units'];

  test('names disks by their UUIDs, which VMware keeps', () => {
    const id = `/dev/disk/by-id/scsi-3${diskUuid(units, 0)}-part1`;
    expect(diskUuid(units, 0)).toMatch(/^6000c29[0-9a-f]{25}$/);
    expect(rootArguments(units)).toBe(`root=${id}`);
    expect(textOf(units, '/etc/systemd/system/-.mount')).toContain(`What=${id}\n`);
  });

  test('has mounts and swap in units of systemd only, and each is wanted', () => {
    expect(textOf(units, '/etc/fstab').trimEnd().split('\n')).toHaveLength(1);
    expect(textOf(units, '/etc/systemd/system/srv.mount')).toContain(
      `What=/dev/disk/by-id/wwn-0x${diskUuid(units, 1)}-part1\nWhere=/srv\nType=ext4\n`,
    );
    expect(textOf(units, '/etc/systemd/system/dev-sdb2.swap')).toContain('What=/dev/sdb2\n');
    expect(guestFiles(units)['/etc/systemd/system/swap.target.requires/dev-sdb2.swap']).toEqual({
      link: '../dev-sdb2.swap',
    });
  });

  test('escapes what a unit’s name cannot have', () => {
    const swap = { ...at('swap', 'by-id'), filesystem: 'swap', unit: true } as const;
    const disks = [{ label: 'dos', partitions: [at('/', 'uuid'), swap] }] as const;
    const name = `dev-disk-by\\x2did-scsi\\x2d3${diskUuid(units, 0)}\\x2dpart2.swap`;
    expect(guestFiles({ ...units, disks })[`/etc/systemd/system/${name}`]).toBeDefined();
  });

  test('has its LVM take disks of VMware’s names only, over several lines', () => {
    const text = textOf(BROKEN_IN_TESTS['bookworm-bios-lvm-filter'], '/etc/lvm/lvm.conf');
    expect(text).toMatch(/global_filter = \[ "a\|\^\/dev\/sd\S+",\n\s+"r\|\.\*\|" \]/);
  });

  function at(mount: string, namedBy: 'by-id' | 'uuid') {
    return { mount, filesystem: 'ext4', sizeMib: 64, namedBy } as const;
  }
});
