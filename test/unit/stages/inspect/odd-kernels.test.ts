import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';
import { planGuest } from '../../../../src/families/plan.js';
import { S_IFREG, writeNewc } from '../../../../src/guest/cpio.js';
import { readSnapshot } from '../../../../src/guest/snapshot-file.js';
import { inspectGuest } from '../../../../src/stages/inspect/inspect-guest.js';
import { type MemoryFiles, memoryGuest } from '../../access/memory-guest.js';
import { disksOf } from '../../families/disks-of.js';
import {
  filesystem,
  guestOf,
  MODULES_DEP,
  MODULES_DEP_2_6,
  modulesOf,
  textAfter,
} from '../../families/guests.js';
import { bzImage } from '../../guest/kernels.js';

const FSTAB = 'UUID=root-uuid / ext4 defaults 0 1\n';
const AHCI = 'kernel/drivers/ata/ahci.ko:\n';

/** INSPECT and PLAN of a guest of one disk with these files beside what every system has. */
async function planOf(files: MemoryFiles) {
  const recipe = {
    files: { '/etc/fstab': FSTAB },
    filesystems: [filesystem('/dev/sda1', 'ext4', 'root-uuid', { mountpoint: '/' })],
  };
  const disks = disksOf(recipe);
  const workDirectory = mkdtempSync(join(tmpdir(), 'h2k-odd-'));
  onTestFinished(() => rmSync(workDirectory, { recursive: true }));
  const root = { ...disks.filesystems?.['/dev/sda1'], ...files };
  const { reader } = memoryGuest({ ...disks, filesystems: { '/dev/sda1': root } });
  const request = {
    keys: [],
    isOffline: true,
    diskIds: [],
    controllers: [null],
    chosenRoot: null,
    firmware: null,
    nics: [],
    workDirectory,
  };
  const { identity, snapshot } = await inspectGuest(reader, request, () => undefined);
  if (identity.os_type === 'windows') throw new Error('not a Linux guest');
  const tree = await readSnapshot(join(workDirectory, snapshot));
  return { identity, ...planGuest({ ...guestOf(recipe), identity, tree }) };
}

const initrd = (files: Record<string, string>) =>
  gzipSync(
    writeNewc(
      Object.entries(files).map(([path, text]) => ({
        path,
        mode: S_IFREG | 0o755,
        data: Buffer.from(text),
      })),
    ),
  );
const codesOf = ({ warnings }: { warnings: readonly { code: string }[] }) => warnings.map(({ code }) => code);

describe('a guest is inspected and planned:', () => {
  it('CentOS 5, whose nash loads what its list says: the initrd is made anew', async () => {
    const version = '2.6.18-398.el5';
    const dep = MODULES_DEP_2_6.replaceAll('kernel/', `/lib/modules/${version}/kernel/`);
    const plan = await planOf({
      ...modulesOf(version, '/lib/modules', dep),
      '/sbin/mkinitrd': '#!/bin/bash\n',
      '/etc/redhat-release': 'CentOS release 5.11 (Final)\n',
      '/etc/modprobe.conf': 'alias scsi_hostadapter mptspi\n',
      [`/boot/vmlinuz-${version}`]: bzImage(version),
      [`/boot/initrd-${version}.img`]: initrd({
        'bin/nash': '',
        init: '#!/bin/nash\ninsmod /lib/scsi_mod.ko\ninsmod /lib/mptspi.ko\n',
        'lib/scsi_mod.ko': '',
        'lib/mptspi.ko': '',
      }),
      '/boot/grub/grub.conf': `title CentOS\n\troot (hd0,0)\n\tkernel /boot/vmlinuz-${version} ro root=LABEL=/\n\tinitrd /boot/initrd-${version}.img\n`,
    });
    expect(plan.identity.kernels).toMatchObject([
      { version, initramfs: { loads: 'listed', modules: ['mptspi', 'scsi_mod'] } },
    ]);
    expect(plan.devices).toMatchObject({ disk_bus: 'virtio', virtio: 'transitional' });
    expect(plan.operations.find(({ op }) => op === 'rebuild_initramfs')).toMatchObject({
      command: expect.arrayContaining([
        'mkinitrd',
        '--with=virtio_blk',
        `/boot/initrd-${version}.img`,
        version,
      ]),
    });
    expect(plan.operations.some(({ op }) => op === 'append_initramfs')).toBe(false);
  });

  it('Arch of 2014, whose names tell no version', async () => {
    const version = '3.15.8-1-ARCH';
    const plan = await planOf({
      ...modulesOf(version, '/usr/lib/modules', MODULES_DEP_2_6),
      '/lib': '-> usr/lib',
      '/usr/bin/mkinitcpio': '#!/bin/bash\n',
      '/etc/mkinitcpio.conf': 'MODULES=""\nHOOKS="base udev autodetect block filesystems"\n',
      '/boot/vmlinuz-linux': bzImage(version),
      '/boot/initramfs-linux.img': initrd({
        init: '#!/usr/bin/ash\n',
        init_functions: '',
        config: 'MODULES=""\n',
        'usr/lib/systemd/systemd-udevd': '',
        [`usr/lib/modules/${version}/kernel/scsi_mod.ko.gz`]: '',
      }),
      '/boot/syslinux/syslinux.cfg':
        'LABEL arch\n\tLINUX ../vmlinuz-linux\n\tAPPEND root=/dev/sda1 rw\n\tINITRD ../initramfs-linux.img\n',
    });
    expect(plan.identity.kernels).toMatchObject([
      { version, image: '/boot/vmlinuz-linux', modules: `/usr/lib/modules/${version}` },
    ]);
    expect(plan.devices).toMatchObject({ disk_bus: 'virtio', virtio: 'transitional' });
    expect(plan.operations.at(-1)).toMatchObject({
      op: 'append_initramfs',
      path: '/boot/initramfs-linux.img',
    });
    expect(textAfter(plan.operations, '/boot/syslinux/syslinux.cfg')).toContain('root=UUID=root-uuid');
    expect(codesOf(plan)).toEqual(['devices.transitional']);
  });

  it('Slackware with LILO: SATA, said so, and nothing appended that LILO would not load', async () => {
    const version = '5.15.19';
    const plan = await planOf({
      ...modulesOf(version, '/lib/modules', MODULES_DEP + AHCI, 'kernel/drivers/scsi/sd_mod.ko\n'),
      '/etc/lilo.conf':
        'boot = /dev/sda\nimage = /boot/vmlinuz\n  initrd = /boot/initrd.gz\n  root = /dev/sda1\n  label = Linux\n',
      '/boot/vmlinuz': '-> vmlinuz-generic-5.15.19',
      '/boot/vmlinuz-generic-5.15.19': bzImage(version),
      '/boot/initrd.gz': initrd({ init: '#!/bin/ash\n', 'sbin/udevd': '' }),
    });
    expect(plan.identity).toMatchObject({
      bootloader: 'lilo',
      kernels: [{ version, image: '/boot/vmlinuz-generic-5.15.19', initramfs: { path: '/boot/initrd.gz' } }],
    });
    expect(plan.devices).toMatchObject({ disk_bus: 'sata' });
    expect(codesOf(plan)).toContain('boot.lilo');
    expect(plan.operations.some(({ op }) => op.endsWith('_initramfs'))).toBe(false);
  });

  it.each([
    ['virtio', 'CONFIG_BLK_DEV_SD=y\nCONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_BLK=y\n', []],
    [
      'sata',
      'CONFIG_BLK_DEV_SD=y\nCONFIG_SATA_AHCI=y\n# CONFIG_VIRTIO_BLK is not set\n',
      ['devices.no-virtio'],
    ],
    ['sata', null, ['devices.unknown-kernel']],
  ])('a kernel without modules and initramfs, by its configuration: %s', async (bus, config, codes) => {
    const plan = await planOf({
      '/boot/bzImage': bzImage('6.6.9-own'),
      ...(config === null ? {} : { '/boot/config-6.6.9-own': config }),
      '/boot/grub/grub.cfg': 'menuentry own {\n\tlinux /boot/bzImage root=/dev/sda1 ro\n}\n',
    });
    expect(plan.identity.kernels).toMatchObject([
      { version: '6.6.9-own', image: '/boot/bzImage', modules: null, initramfs: null },
    ]);
    expect(plan.devices?.disk_bus).toBe(bus);
    expect(codesOf(plan)).toEqual(codes);
    expect(textAfter(plan.operations, '/boot/grub/grub.cfg')).toContain('root=PARTUUID=');
  });

  it('Debian with everything that keeps virtio out', async () => {
    const version = '6.1.0-18-amd64';
    const blacklist = 'blacklist virtio_blk\n';
    const plan = await planOf({
      ...modulesOf(version, '/lib/modules'),
      '/usr/bin/dracut': '#!/bin/bash\n',
      '/usr/lib/dracut/dracut.conf.d/10-vendor.conf': 'omit_drivers+=" virtio "\n',
      '/usr/lib/modprobe.d/vendor.conf': blacklist,
      '/etc/modprobe.d/hardening.conf': blacklist,
      '/var/cache/debconf/config.dat':
        'Name: grub-pc/install_devices\nTemplate: grub-pc/install_devices\nValue: /dev/sda\nOwners: grub-pc\n',
      [`/boot/vmlinuz-${version}`]: bzImage(version),
      [`/boot/initrd.img-${version}`]: initrd({
        init: '',
        'usr/lib/systemd/systemd-udevd': '',
        'etc/modprobe.d/hardening.conf': blacklist,
      }),
      '/boot/grub/grub.cfg': `linux /boot/vmlinuz-${version} root=UUID=root-uuid modprobe.blacklist=virtio_net\n`,
    });
    expect(codesOf(plan)).toEqual([
      'boot.install-device',
      'boot.driver-excluded',
      'boot.driver-excluded',
      'boot.driver-excluded',
      'boot.driver-excluded',
    ]);
    expect(textAfter(plan.operations, '/etc/dracut.conf.d/10-vendor.conf')).toBe('omit_drivers+="  "\n');
    expect(textAfter(plan.operations, '/etc/modprobe.d/vendor.conf')).toBe('#blacklist virtio_blk\n');
    expect(plan.operations.find(({ op }) => op === 'append_initramfs')).toMatchObject({
      replace: [{ path: 'etc/modprobe.d/hardening.conf', text: '#blacklist virtio_blk\n' }],
    });
  });
});
