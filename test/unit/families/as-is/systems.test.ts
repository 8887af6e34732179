import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { planGuest, planNothing } from '../../../../src/families/plan.js';
import { familyOf, guestIdentitySchema } from '../../../../src/families/registry.js';
import { GuestTree } from '../../../../src/guest/tree.js';
import type { Filesystem, Identity } from '../../../../src/model/identity.js';
import { inspectGuest } from '../../../../src/stages/inspect/inspect-guest.js';
import { type MemoryFiles, memoryGuest } from '../../access/memory-guest.js';
import { filesystem, guestOf } from '../../families/guests.js';

interface Disk {
  /** By number: the type of the partition and what blkid says is in it. */
  partitions: {
    type: string;
    content: string;
    label?: string;
    files?: MemoryFiles;
    options?: string;
    device?: string;
  }[];
  scheme?: 'gpt' | 'mbr';
}

type Probe = Record<string, string>;

/** What INSPECT says of a VM with this one disk. */
async function inspect({ partitions, scheme = 'gpt' }: Disk, unread?: { code: string; reason: string }) {
  const workDirectory = mkdtempSync(join(tmpdir(), 'h2k-as-is-'));
  onTestFinished(() => rmSync(workDirectory, { recursive: true }));
  const names = partitions.map(({ device }, index) => device ?? `/dev/sda${index + 1}`);
  const tags = new Map<string, Probe>(
    partitions.map(({ type, content, label }, index) => [
      names[index]!,
      {
        ...(content === '' ? {} : { TYPE: content }),
        ...(label === undefined ? {} : { LABEL: label }),
        PART_ENTRY_SCHEME: scheme === 'gpt' ? 'gpt' : 'dos',
        PART_ENTRY_TYPE: type,
        PART_ENTRY_NUMBER: `${index + 1}`,
      },
    ]),
  );
  const filesystems: Record<string, MemoryFiles> = {};
  for (const [index, { files, options }] of partitions.entries())
    if (files !== undefined) filesystems[[names[index], ...(options ? [options] : [])].join(',')] = files;
  const { reader } = memoryGuest({
    filesystems,
    devices: {
      disks: async () => [...new Set(names.map((name) => name.replace(/\d+$/, '')))].sort(),
      partitions: async () => names,
      probe: async (device) => tags.get(device) ?? {},
      size: async () => 1 << 30,
    },
  });
  const request = {
    keys: [],
    diskIds: [],
    isOffline: true,
    controllers: [null, null],
    chosenRoot: null,
    firmware: null,
    nics: [],
    workDirectory,
  };
  return inspectGuest(reader, { ...request, ...(unread ? { unread } : {}) }, () => undefined);
}

const GPT = {
  esp: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
  linux: '0fc63daf-8483-4772-8e79-3d69d8477de4',
  freebsdBoot: '83bd6b9d-7f41-11dc-be0b-001560b84f0f',
  freebsdUfs: '516e7cb6-6ecf-11d6-8ff8-00022d09712b',
  freebsdZfs: '516e7cba-6ecf-11d6-8ff8-00022d09712b',
  zfs: '6a898cc3-1dd2-11b2-99a6-080020736631',
  solarisRoot: '6a85cf4d-1dd2-11b2-99a6-080020736631',
  illumosBoot: '6a82cb45-1dd2-11b2-99a6-080020736631',
  vmfs: 'aa31e02a-400f-11db-9590-000c2911d1b8',
};
const SATA = { disk_bus: 'sata', nic_model: 'e1000' };
const COREOS = '/ostree/deploy/fedora-coreos/deploy/0f0f.0';
const UFS = 'ufstype=ufs2';

const FREEBSD: MemoryFiles = {
  '/etc/fstab': '/dev/da0p2 / ufs rw 1 1\n',
  '/bin/freebsd-version': '#!/bin/sh\nUSERLAND_VERSION="14.1-RELEASE-p3"\n',
};

const SYSTEMS: [string, Disk, Partial<Identity>][] = [
  [
    'FreeBSD on UFS that names its disk as on a SCSI controller',
    {
      partitions: [
        { type: GPT.freebsdBoot, content: '' },
        { type: GPT.freebsdUfs, content: 'ufs', files: FREEBSD, options: UFS },
      ],
    },
    {
      os_type: 'freebsd',
      os_distro: 'freebsd',
      os_version: '14.1-RELEASE-p3',
      os_name: 'FreeBSD 14.1-RELEASE-p3',
      firmware: 'bios',
      as_is: {
        reason: expect.stringContaining('FreeBSD'),
        devices: { disk_bus: 'scsi', nic_model: 'virtio' },
      },
    },
  ],
  [
    'FreeBSD 9, which has no virtio',
    {
      partitions: [
        {
          type: GPT.freebsdUfs,
          content: 'ufs',
          options: UFS,
          files: { ...FREEBSD, '/bin/freebsd-version': 'USERLAND_VERSION="9.3-RELEASE"\n' },
        },
      ],
    },
    { os_version: '9.3-RELEASE', as_is: { reason: expect.any(String), devices: SATA } as never },
  ],
  [
    'FreeBSD on ZFS',
    {
      partitions: [
        { type: GPT.freebsdBoot, content: '' },
        { type: GPT.freebsdZfs, content: 'zfs_member' },
      ],
    },
    { os_type: 'freebsd', os_name: 'FreeBSD', as_is: { reason: expect.any(String), devices: SATA } as never },
  ],
  [
    'pfSense, by its pool',
    { partitions: [{ type: GPT.freebsdZfs, content: 'zfs_member', label: 'pfSense' }] },
    { os_type: 'freebsd', os_distro: 'pfsense', os_name: 'pfSense' },
  ],
  [
    'OPNsense, by its files',
    {
      partitions: [
        {
          type: '0xa5',
          content: 'ufs',
          options: UFS,
          files: { ...FREEBSD, '/usr/local/opnsense/version/core': '{}' },
        },
      ],
      scheme: 'mbr',
    },
    { os_type: 'freebsd', os_distro: 'opnsense', os_name: 'OPNsense 14.1-RELEASE-p3' },
  ],
  ['OpenBSD', { partitions: [{ type: '0xa6', content: 'ufs' }], scheme: 'mbr' }, { os_type: 'openbsd' }],
  ['NetBSD', { partitions: [{ type: '0xa9', content: '' }], scheme: 'mbr' }, { os_type: 'netbsd' }],
  [
    'illumos',
    {
      partitions: [
        { type: GPT.illumosBoot, content: '' },
        { type: GPT.zfs, content: 'zfs_member' },
      ],
    },
    { os_type: 'illumos' },
  ],
  ['Haiku', { partitions: [{ type: '0xeb', content: 'befs' }], scheme: 'mbr' }, { os_type: 'haiku' }],
  ['ESXi', { partitions: [{ type: GPT.vmfs, content: '' }] }, { os_type: 'esxi', os_distro: 'esxi' }],
  [
    'FreeDOS',
    {
      partitions: [
        {
          type: '0xc',
          content: 'vfat',
          files: { '/KERNEL.SYS': '', '/COMMAND.COM': '', '/AUTOEXEC.BAT': '' },
        },
      ],
      scheme: 'mbr',
    },
    {
      os_type: 'dos',
      os_distro: 'freedos',
      as_is: { reason: expect.any(String), devices: { disk_bus: 'ide', nic_model: 'e1000' } } as never,
    },
  ],
  [
    'a Linux on ZFS that starts by UEFI',
    {
      partitions: [
        { type: GPT.esp, content: 'vfat', files: { '/EFI/BOOT/BOOTX64.EFI': '' } },
        { type: GPT.zfs, content: 'zfs_member', label: 'rpool' },
      ],
    },
    { os_type: 'unknown', os_distro: 'zfs', firmware: 'uefi', architecture: 'x86_64' },
  ],
  [
    'a Linux on ZFS as OpenZFS’ guides partition it, with the type of Solaris’ root',
    {
      partitions: [
        { type: GPT.esp, content: 'vfat', files: { '/EFI/BOOT/BOOTX64.EFI': '' } },
        { type: GPT.solarisRoot, content: 'zfs_member', label: 'rpool' },
      ],
    },
    { os_type: 'unknown', os_distro: 'zfs' },
  ],
  [
    'Fedora CoreOS',
    {
      partitions: [
        {
          type: GPT.linux,
          content: 'xfs',
          files: {
            '/boot/': null,
            [`${COREOS}.origin`]: '',
            [`${COREOS}/usr/lib/os-release`]:
              'NAME="Fedora Linux"\nID=fedora\nVERSION_ID=41\nPRETTY_NAME="Fedora CoreOS 41.20250117.3.0"\n',
          },
        },
      ],
    },
    { os_type: 'linux', os_distro: 'fedora', os_version: '41', os_name: 'Fedora CoreOS 41.20250117.3.0' },
  ],
  [
    'NixOS',
    {
      partitions: [
        {
          type: GPT.linux,
          content: 'ext4',
          files: {
            '/etc/fstab': '/dev/sda1 / ext4 defaults 0 1\n',
            '/etc/os-release': '-> /etc/static/os-release',
            '/etc/NIXOS': '',
            '/bin/sh': '-> /nix/store/x-bash/bin/sh',
            '/usr/bin/env': '',
          },
        },
      ],
    },
    { os_type: 'linux', os_distro: 'nixos', os_name: 'NixOS' },
  ],
  [
    'VyOS',
    { partitions: [{ type: GPT.linux, content: 'ext4', files: { '/boot/1.4.0/1.4.0.squashfs': '' } }] },
    { os_type: 'linux', os_distro: 'vyos', os_name: 'VyOS 1.4.0' },
  ],
  [
    'OpenWrt in a squashfs',
    {
      partitions: [
        {
          type: '0x83',
          content: 'squashfs',
          files: {
            '/etc/os-release': 'ID="openwrt"\nVERSION_ID="23.05.5"\nPRETTY_NAME="OpenWrt 23.05.5"\n',
          },
        },
      ],
      scheme: 'mbr',
    },
    { os_type: 'linux', os_distro: 'openwrt', os_name: 'OpenWrt 23.05.5' },
  ],
];

it.each(SYSTEMS)('%s is named, refused with the way out, and planned as it is', async (_, disk, expected) => {
  const { identity } = await inspect(disk);
  expect(identity).toMatchObject(expected);
  expect(guestIdentitySchema.parse(identity)).toEqual(identity);
  expect(familyOf(identity)).toMatchObject({ os: 'unknown', fixers: [] });
  const guest = { ...guestOf({ files: {} }), identity, tree: new GuestTree([]) };
  expect(() => planGuest(guest)).toThrowError(
    expect.objectContaining({
      code: 'plan.unsupported-system',
      message: expect.stringContaining(identity.os_name.split(' ')[0] ?? ''),
      advice: expect.stringContaining('fix.mode = "none"'),
    }),
  );
  expect(planNothing(guest)).toMatchObject({
    operations: [],
    devices: 'as_is' in identity ? identity.as_is?.devices : null,
    warnings: [{ code: 'plan.as-is', message: expect.stringContaining(identity.os_name) }],
  });
});

it('an aarch64 guest is told by its loader', async () => {
  const files = { '/EFI/BOOT/bootaa64.efi': '' };
  const { identity } = await inspect({
    partitions: [
      { type: GPT.esp, content: 'vfat', files },
      { type: GPT.freebsdUfs, content: 'ufs', files: FREEBSD, options: UFS },
    ],
  });
  expect(identity).toMatchObject({ architecture: 'aarch64', firmware: 'uefi', as_is: { devices: SATA } });
});

it('Linux goes before a partition of another system beside it', async () => {
  const linux = { '/etc/NIXOS': '', '/usr/bin/env': '', '/bin/sh': '', '/lib/x': '' };
  const disk = {
    partitions: [
      { type: '0xa5', content: 'ufs' },
      { type: '0x83', content: 'ext4', files: linux },
    ],
  };
  expect((await inspect({ ...disk, scheme: 'mbr' })).identity).toMatchObject({ os_distro: 'nixos' });
});

it('a guest that cannot be looked into is described by its partitions, with the reason', async () => {
  const disk = { partitions: [{ type: GPT.esp, content: 'vfat', files: { '/EFI/BOOT/BOOTX64.EFI': '' } }] };
  const { identity, warnings } = await inspect(disk, { code: 'inspect.no-os', reason: 'none was found' });
  expect(identity).toMatchObject({
    os_type: 'unknown',
    firmware: 'uefi',
    as_is: { reason: 'none was found', devices: SATA },
  });
  expect(warnings).toMatchObject([
    { code: 'inspect.skipped', message: expect.stringContaining('inspect.no-os') },
  ]);
});

it.each([
  ['a disk before the one', '/dev/sdb1', '/dev/sda1'],
  ['the disk', '/dev/sda5', '/dev/sda2'],
])('a pool of ZFS is no system beside a root that cannot be mounted on %s of it', async (_, pool, root) => {
  const partitions = [
    { type: GPT.linux, content: 'xfs', device: root },
    { type: GPT.zfs, content: 'zfs_member', device: pool },
  ];
  await expect(inspect({ partitions })).rejects.toMatchObject({
    code: 'inspect.unmountable',
    message: expect.stringContaining(root),
  });
});

it('a disk with data that cannot be mounted does not hide the system on an earlier one', async () => {
  const partitions = [
    { type: GPT.freebsdZfs, content: 'zfs_member', device: '/dev/sda2' },
    { type: GPT.linux, content: 'xfs', device: '/dev/sdb1' },
  ];
  const { identity, warnings } = await inspect({ partitions });
  expect(identity).toMatchObject({ os_type: 'freebsd' });
  expect(warnings).toMatchObject([
    { code: 'inspect.skipped', message: expect.stringContaining('/dev/sdb1') },
  ]);
});

it('partitions of Linux alone are no other system', async () => {
  const data: Filesystem = filesystem('/dev/sda1', 'ext4', 'x');
  const disk = { partitions: [{ type: GPT.linux, content: data.type, files: { '/data': '' } }] };
  await expect(inspect(disk)).rejects.toMatchObject({ code: 'inspect.no-os' });
});
