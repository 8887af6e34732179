import {
  BASE_PACKAGES,
  type DiskRecipe,
  type GuestRecipe,
  IFUPDOWN_PACKAGES,
  type NetworkRecipe,
  type PartitionRecipe,
  UEFI_PACKAGES,
  VMWARE_INITRAMFS,
} from './recipes.ts';

/**
 * Guests that could boot on virtio but for one thing: the drivers are in their initramfs, and no name but the
 * one in question is VMware's. So what is seen of them before and after is that thing's doing alone.
 */
const WITH_VIRTIO: GuestRecipe['initramfs'] = {
  tool: 'initramfs-tools',
  modules: [...VMWARE_INITRAMFS.modules, 'dm_mod', 'virtio_pci', 'virtio_blk'],
};
const PACKAGES = [...BASE_PACKAGES, ...IFUPDOWN_PACKAGES, ...UEFI_PACKAGES];
/** SLIRP's network is this one, and its lease 10.0.2.15. */
const STATIC = { address: '10.0.2.77/24', gateway: '10.0.2.2', dns: '10.0.2.3' } as const;

const dos = (...partitions: PartitionRecipe[]): DiskRecipe => ({ label: 'dos', partitions });
const at = (
  mount: string,
  filesystem: PartitionRecipe['filesystem'],
  sizeMib: number,
  more: Partial<PartitionRecipe> = {},
): PartitionRecipe => ({ mount, filesystem, sizeMib, namedBy: 'kernel', ...more });

function network(
  number: number,
  backend: NetworkRecipe['backend'],
  more: Partial<NetworkRecipe> = {},
): NetworkRecipe {
  const mac = `00:50:56:04:00:${number.toString(16).padStart(2, '0')}`;
  return { backend, interface: 'ens192', mac, pin: 'slot', static: STATIC, ...more };
}

/** Those that a run of the tests has time for. */
export const BROKEN_IN_TESTS = {
  /** The filter is in the initramfs too: changed in /etc only, it still hides the root. */
  'bookworm-bios-lvm-filter': {
    name: 'bookworm-bios-lvm-filter',
    release: 'bookworm',
    firmware: 'bios',
    disks: [dos(at('/boot', 'ext4', 256, { namedBy: 'uuid' }), at('vg0', 'member', 1800))],
    volumes: [
      {
        kind: 'lvm',
        name: 'vg0',
        filesystems: [{ name: 'root', mount: '/', filesystem: 'ext4', sizeMib: 1792 }],
      },
    ],
    lvmFilter: true,
    initramfs: WITH_VIRTIO,
    network: network(1, 'ifupdown'),
    packages: [...PACKAGES, 'lvm2'],
  },
  /** Which disk a name means, only the VMDKs tell; two filesystems and the swap area are in no fstab. */
  'bookworm-bios-by-id-units': {
    name: 'bookworm-bios-by-id-units',
    release: 'bookworm',
    firmware: 'bios',
    disks: [
      dos(at('/', 'ext4', 1536, { namedBy: 'by-id', unit: true })),
      dos(at('/srv', 'ext4', 64, { namedBy: 'by-id', unit: true }), at('swap', 'swap', 64, { unit: true })),
    ],
    initramfs: WITH_VIRTIO,
    network: network(2, 'ifupdown'),
    packages: PACKAGES,
  },
} as const satisfies Record<string, GuestRecipe>;

export const BROKEN: readonly GuestRecipe[] = [
  ...Object.values(BROKEN_IN_TESTS),
  /** Its network is the second card's of two, and would be made anew with its SSH host keys. */
  {
    name: 'bookworm-bios-cloud-init-two-nics',
    release: 'bookworm',
    firmware: 'bios',
    disks: [dos(at('/', 'ext4', 2048, { namedBy: 'uuid' }))],
    initramfs: WITH_VIRTIO,
    network: network(3, 'ifupdown', { other: '00:50:56:04:01:03' }),
    cloudInit: true,
    packages: [...PACKAGES, 'cloud-init', 'openssh-server'],
  },
  {
    name: 'bullseye-bios-without-virtio-1',
    release: 'bullseye',
    firmware: 'bios',
    disks: [dos(at('/', 'ext4', 1792, { namedBy: 'uuid' }))],
    initramfs: WITH_VIRTIO,
    network: network(4, 'ifupdown'),
    withoutVirtio1: true,
    packages: PACKAGES,
  },
];
