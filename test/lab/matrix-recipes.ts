import { BROKEN, BROKEN_IN_TESTS } from './broken-recipes.ts';
import { LIVE_RECIPES } from './live-recipes.ts';
import {
  BASE_PACKAGES,
  type DiskRecipe,
  type GuestRecipe,
  IFUPDOWN_PACKAGES,
  type NetworkRecipe,
  type PartitionRecipe,
  RECIPES,
  UEFI_PACKAGES,
  VMWARE_INITRAMFS,
} from './recipes.ts';

/**
 * One set a release and initramfs tool: making a base takes two minutes, and what a guest does not use stays
 * idle. `systemd-boot` brings the loader's program, it is installed by the lab.
 */
const OPTIONAL_PACKAGES = [
  ...['lvm2', 'cryptsetup', 'mdadm', 'btrfs-progs', 'xfsprogs'],
  ...['ifupdown', 'isc-dhcp-client', 'network-manager', 'netplan.io'],
  ...['grub-efi-amd64-signed', 'shim-signed', 'systemd-boot', 'extlinux', 'syslinux-common'],
] as const;
const packagesFor = (tool: GuestRecipe['initramfs']['tool']) => [
  ...BASE_PACKAGES.filter((name) => name !== 'initramfs-tools'),
  ...OPTIONAL_PACKAGES,
  ...(tool === 'dracut' ? ['dracut'] : ['initramfs-tools', 'cryptsetup-initramfs']),
];

const STORAGE_MODULES = [
  'xfs',
  'btrfs',
  'dm_mod',
  'dm_crypt',
  'raid1',
  'vfat',
  'xts',
  'aesni_intel',
] as const;
const initramfsOf = (tool: GuestRecipe['initramfs']['tool']): GuestRecipe['initramfs'] => ({
  tool,
  modules: [...VMWARE_INITRAMFS.modules, ...STORAGE_MODULES],
  ...(tool === 'dracut' ? { omit: ['virtio.*', '.*virtio'] } : {}),
});

/** SLIRP, which the boot test's network is, gives out 10.0.2.15; a static address must be another. */
const STATIC = { address: '10.0.2.77/24', gateway: '10.0.2.2', dns: '10.0.2.3' } as const;

function network(
  number: number,
  backend: NetworkRecipe['backend'],
  more: Partial<NetworkRecipe> = {},
): NetworkRecipe {
  const mac = `00:50:56:02:00:${number.toString(16).padStart(2, '0')}`;
  return { backend, interface: 'ens192', mac, pin: number % 2 === 0 ? 'link' : 'udev-rules', ...more };
}

const at = (
  mount: string,
  filesystem: PartitionRecipe['filesystem'],
  sizeMib: number,
  namedBy: PartitionRecipe['namedBy'] = 'kernel',
): PartitionRecipe => ({ mount, filesystem, sizeMib, namedBy });
const member = (volume: string, sizeMib: number) => at(volume, 'member', sizeMib);
const dos = (...partitions: PartitionRecipe[]): DiskRecipe => ({ label: 'dos', partitions });
const gpt = (...partitions: PartitionRecipe[]): DiskRecipe => ({ label: 'gpt', partitions });

const BOOT = at('/boot', 'ext4', 256, 'by-path');
const ESP = at('/boot/efi', 'vfat', 64, 'by-path');
/** Kernels and initramfs files are on it. */
const BIG_ESP = at('/boot/efi', 'vfat', 256);
const SWAP = at('swap', 'swap', 128);
const ROOT_MIB = 1792;
const BTRFS: PartitionRecipe = {
  ...at('/', 'btrfs', 2304),
  subvolumes: { '/': '@', '/home': '@home' },
};

function guest(
  recipe: Omit<GuestRecipe, 'packages' | 'initramfs'>,
  tool: GuestRecipe['initramfs']['tool'],
): GuestRecipe {
  const isNew = recipe.release === 'trixie';
  // From trixie on the loader's program and what opens crypttab's devices are packages of their own, which
  // are only recommended.
  const program = isNew && recipe.loader === 'systemd-boot' ? ['systemd-boot-efi', 'systemd-cryptsetup'] : [];
  const isUnified = recipe.loader === 'unified' || recipe.loader === 'systemd-boot-unified';
  // binutils has dracut's objcopy.
  const maker = !isUnified ? [] : isNew ? ['systemd-boot-efi', 'systemd-ukify'] : ['binutils'];
  return { ...recipe, initramfs: initramfsOf(tool), packages: [...packagesFor(tool), ...program, ...maker] };
}

/**
 * What a run of the tests has time for: with RECIPES, these bring each value of each row once. One guest's
 * root spans two disks, another's data are encrypted on the second one, and the third is of a release that
 * mirrors will lose some day.
 */
export const MATRIX_IN_TESTS = {
  'bookworm-bios-extlinux-lvm-md': guest(
    {
      name: 'bookworm-bios-extlinux-lvm-md',
      release: 'bookworm',
      firmware: 'bios',
      loader: 'extlinux',
      disks: [
        dos(BOOT, member('vg0', 1280), member('md0', 128)),
        dos(member('vg0', 1024), member('md0', 128)),
      ],
      volumes: [
        { kind: 'md', name: 'md0', filesystems: [{ mount: '/srv', filesystem: 'ext4' }] },
        {
          kind: 'lvm',
          name: 'vg0',
          filesystems: [
            { name: 'root', mount: '/', filesystem: 'xfs', sizeMib: ROOT_MIB },
            { name: 'swap', mount: 'swap', filesystem: 'swap', sizeMib: 128 },
          ],
        },
      ],
      network: network(16, 'NetworkManager', { static: STATIC }),
    },
    'initramfs-tools',
  ),
  'trixie-uefi-systemd-boot-btrfs-luks': guest(
    {
      name: 'trixie-uefi-systemd-boot-btrfs-luks',
      release: 'trixie',
      firmware: 'uefi',
      loader: 'systemd-boot',
      disks: [gpt(BIG_ESP, BTRFS, SWAP), gpt(member('data_crypt', 96))],
      volumes: [{ kind: 'luks', name: 'data_crypt', filesystems: [{ mount: '/srv', filesystem: 'ext4' }] }],
      network: network(17, 'netplan'),
    },
    'dracut',
  ),
  'trixie-uefi-unified': guest(
    {
      name: 'trixie-uefi-unified',
      release: 'trixie',
      firmware: 'uefi',
      loader: 'systemd-boot-unified',
      disks: [gpt(BIG_ESP, at('/', 'ext4', ROOT_MIB), SWAP)],
      network: network(18, 'networkd', { static: STATIC }),
    },
    'initramfs-tools',
  ),
  'bullseye-bios': {
    name: 'bullseye-bios',
    release: 'bullseye',
    firmware: 'bios',
    disks: [dos(at('/', 'ext4', ROOT_MIB, 'by-path'), SWAP)],
    initramfs: VMWARE_INITRAMFS,
    network: network(14, 'ifupdown', { static: STATIC }),
    packages: [...BASE_PACKAGES, ...IFUPDOWN_PACKAGES, ...UEFI_PACKAGES],
  },
} as const satisfies Record<string, GuestRecipe>;

/** Every guest that `npm test` needs. */
export const GUESTS_IN_TESTS: readonly GuestRecipe[] = [
  ...Object.values(RECIPES),
  ...Object.values(MATRIX_IN_TESTS),
  ...Object.values(BROKEN_IN_TESTS),
  LIVE_RECIPES['bookworm-live'],
];

/**
 * The matrix: guests as VMware left them, so that each value of each row (release, firmware, loader,
 * filesystem, storage, initramfs tool, network, disks) stands in at least two of them, together with RECIPES.
 * `npm run test:matrix` builds, converts and boots them all.
 */
export const MATRIX: readonly GuestRecipe[] = [
  ...Object.values(MATRIX_IN_TESTS),
  guest(
    {
      name: 'bookworm-bios-lvm-static',
      release: 'bookworm',
      firmware: 'bios',
      disks: [dos(BOOT, member('vg0', 1280)), dos(member('vg0', 1024))],
      volumes: [
        {
          kind: 'lvm',
          name: 'vg0',
          filesystems: [
            { name: 'root', mount: '/', filesystem: 'ext4', sizeMib: ROOT_MIB },
            { name: 'data-1', mount: '/srv', filesystem: 'xfs', sizeMib: 320 },
            { name: 'swap', mount: 'swap', filesystem: 'swap', sizeMib: 128 },
          ],
        },
      ],
      network: network(1, 'NetworkManager', { static: STATIC }),
    },
    'initramfs-tools',
  ),
  guest(
    {
      name: 'trixie-uefi-lvm-dracut',
      release: 'trixie',
      firmware: 'uefi',
      disks: [gpt(ESP, BOOT, member('debian-vg', ROOT_MIB + 256))],
      volumes: [
        {
          kind: 'lvm',
          name: 'debian-vg',
          filesystems: [
            { name: 'root', mount: '/', filesystem: 'xfs', sizeMib: ROOT_MIB },
            { name: 'swap_1', mount: 'swap', filesystem: 'swap', sizeMib: 128 },
          ],
        },
      ],
      network: network(2, 'networkd', { static: STATIC }),
    },
    'dracut',
  ),
  guest(
    {
      name: 'bookworm-bios-luks-lvm',
      release: 'bookworm',
      firmware: 'bios',
      disks: [dos(BOOT, member('sda2_crypt', ROOT_MIB + 256))],
      volumes: [
        { kind: 'luks', name: 'sda2_crypt', filesystems: [] },
        {
          kind: 'lvm',
          name: 'crypt-vg',
          on: 'sda2_crypt',
          filesystems: [
            { name: 'root', mount: '/', filesystem: 'ext4', sizeMib: ROOT_MIB },
            { name: 'swap_1', mount: 'swap', filesystem: 'swap', sizeMib: 128 },
          ],
        },
      ],
      network: network(3, 'ifupdown', { static: STATIC }),
    },
    'initramfs-tools',
  ),
  guest(
    {
      name: 'trixie-uefi-luks-data',
      release: 'trixie',
      firmware: 'uefi',
      loader: 'systemd-boot',
      disks: [gpt(BIG_ESP, at('/', 'ext4', ROOT_MIB), SWAP), gpt(member('data_crypt', 96))],
      volumes: [
        {
          kind: 'luks',
          name: 'data_crypt',
          filesystems: [{ mount: '/srv', filesystem: 'ext4' }],
        },
      ],
      network: network(4, 'NetworkManager'),
    },
    'initramfs-tools',
  ),
  guest(
    {
      name: 'bookworm-bios-md',
      release: 'bookworm',
      firmware: 'bios',
      disks: [dos(BOOT, member('md0', ROOT_MIB), SWAP), dos(member('md0', ROOT_MIB))],
      volumes: [{ kind: 'md', name: 'md0', filesystems: [{ mount: '/', filesystem: 'ext4' }] }],
      network: network(5, 'networkd'),
    },
    'initramfs-tools',
  ),
  guest(
    {
      name: 'trixie-uefi-md-dracut',
      release: 'trixie',
      firmware: 'uefi',
      disks: [gpt(ESP, BOOT, member('md0', ROOT_MIB)), gpt(member('md0', ROOT_MIB), SWAP)],
      volumes: [{ kind: 'md', name: 'md0', filesystems: [{ mount: '/', filesystem: 'xfs' }] }],
      network: network(6, 'netplan'),
    },
    'dracut',
  ),
  guest(
    {
      name: 'bookworm-bios-btrfs',
      release: 'bookworm',
      firmware: 'bios',
      disks: [dos(BTRFS, SWAP)],
      network: network(7, 'netplan', { static: STATIC }),
    },
    'initramfs-tools',
  ),
  guest(
    {
      name: 'trixie-uefi-btrfs',
      release: 'trixie',
      firmware: 'uefi',
      disks: [gpt(ESP, BTRFS, SWAP)],
      network: network(8, 'networkd'),
    },
    'initramfs-tools',
  ),
  guest(
    {
      name: 'bookworm-uefi-systemd-boot',
      release: 'bookworm',
      firmware: 'uefi',
      loader: 'systemd-boot',
      disks: [gpt(BIG_ESP, at('/', 'ext4', ROOT_MIB), SWAP)],
      network: network(10, 'networkd'),
    },
    'dracut',
  ),
  guest(
    {
      name: 'bookworm-uefi-unified',
      release: 'bookworm',
      firmware: 'uefi',
      loader: 'unified',
      disks: [gpt(BIG_ESP, at('/', 'ext4', ROOT_MIB), SWAP)],
      network: network(19, 'ifupdown'),
    },
    'dracut',
  ),
  guest(
    {
      name: 'bookworm-bios-extlinux',
      release: 'bookworm',
      firmware: 'bios',
      loader: 'extlinux',
      disks: [dos(at('/', 'ext4', ROOT_MIB), SWAP)],
      network: network(11, 'ifupdown'),
    },
    'initramfs-tools',
  ),
  guest(
    {
      name: 'trixie-bios-extlinux-dracut',
      release: 'trixie',
      firmware: 'bios',
      loader: 'extlinux',
      disks: [dos(BOOT, at('/', 'ext4', ROOT_MIB), SWAP)],
      network: network(12, 'NetworkManager', { pin: 'link' }),
    },
    'dracut',
  ),
  guest(
    {
      name: 'trixie-bios-xfs',
      release: 'trixie',
      firmware: 'bios',
      disks: [dos(at('/', 'xfs', ROOT_MIB, 'by-path'), SWAP), dos(at('/srv', 'xfs', 320, 'by-path'))],
      network: network(13, 'netplan'),
    },
    'initramfs-tools',
  ),
  {
    name: 'bookworm-bios-without-virtio',
    release: 'bookworm',
    firmware: 'bios',
    disks: [dos(at('/', 'ext4', ROOT_MIB), SWAP)],
    initramfs: VMWARE_INITRAMFS,
    network: network(20, 'ifupdown'),
    withoutVirtio: true,
    packages: [...BASE_PACKAGES, ...IFUPDOWN_PACKAGES],
  },
  {
    name: 'bullseye-uefi',
    release: 'bullseye',
    firmware: 'uefi',
    disks: [gpt(ESP, at('/', 'ext4', ROOT_MIB), SWAP)],
    initramfs: VMWARE_INITRAMFS,
    network: network(15, 'ifupdown'),
    packages: [...BASE_PACKAGES, ...IFUPDOWN_PACKAGES, ...UEFI_PACKAGES],
  },
  ...BROKEN,
];
