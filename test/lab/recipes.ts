/** How a lab guest is laid out. Sizes in MiB, rounded to what the partition table needs. */
export interface PartitionRecipe {
  /** Mount point, `swap`, or the name of the volume that it is a member of. */
  mount: string;
  filesystem: 'ext4' | 'xfs' | 'btrfs' | 'vfat' | 'swap' | 'member';
  sizeMib: number;
  /**
   * How the guest's fstab names it: the controller's path, the kernel's `/dev/sdXN`, or the disk's UUID, which
   * VMware keeps in the VMDK. None of them survives a move to virtio; the filesystem's UUID does.
   */
  namedBy: 'by-path' | 'kernel' | 'by-id' | 'uuid';
  /** A .mount or .swap unit has it, and not fstab. */
  unit?: true;
  /** btrfs only: subvolume by mount point, `@` at this partition's own. */
  subvolumes?: Readonly<Record<string, string>>;
}

/**
 * What lies between partitions and filesystems: RAID 1, LUKS or an LVM volume group. Listed from the bottom
 * up.
 */
export interface VolumeRecipe {
  kind: 'md' | 'luks' | 'lvm';
  /** `md0`, `cryptroot`, `vg0`. */
  name: string;
  /** The volume below; without it, the partitions that are members of this name. */
  on?: string;
  /** md and LUKS have at most one filesystem, a volume group one in each logical volume (`name`). */
  filesystems: readonly {
    name?: string;
    mount: string;
    filesystem: 'ext4' | 'xfs' | 'swap';
    sizeMib?: number;
  }[];
}

export interface DiskRecipe {
  label: 'dos' | 'gpt';
  partitions: readonly PartitionRecipe[];
}

export interface NetworkRecipe {
  backend: 'ifupdown' | 'networkd' | 'NetworkManager' | 'netplan';
  /** The name VMware's slot numbering gives the first vmxnet3 NIC is `ens192`. */
  interface: string;
  /** In VMware's range 00:50:56:00:00:00 to 00:50:56:3f:ff:ff for static addresses. */
  mac: string;
  /**
   * What ties MAC, driver and name together: `70-persistent-net.rules` or a `.link` file. Both name VMware's
   * driver. `slot`: nothing does, the name is of the slot that the VM's description has.
   */
  pin: 'udev-rules' | 'link' | 'slot';
  /** MAC of a second card that the guest does not configure; the description lists it first. */
  other?: string;
  /** Default DHCP. */
  static?: { address: string; gateway: string; dns: string };
}

/** A guest as VMware leaves it. A plain value: its JSON is the key of the built image. */
export interface GuestRecipe {
  name: string;
  release: 'bullseye' | 'bookworm' | 'trixie';
  firmware: 'bios' | 'uefi';
  /** Default GRUB. `unified`: a unified kernel image that the firmware starts itself. */
  loader?: 'grub' | 'systemd-boot' | 'systemd-boot-unified' | 'unified' | 'extlinux';
  disks: readonly DiskRecipe[];
  volumes?: readonly VolumeRecipe[];
  /**
   * As a machine on VMware makes it for itself: these modules, and none that match `omit` (dracut adds
   * drivers of all hypervisors otherwise).
   */
  initramfs: { tool: 'initramfs-tools' | 'dracut'; modules: readonly string[]; omit?: readonly string[] };
  network: NetworkRecipe;
  /** A kernel from before virtio, as far as a guest can tell: the modules are taken out. */
  withoutVirtio?: true;
  /** A kernel from before virtio 1.0, as far as anything can tell (old-kernel.ts). */
  withoutVirtio1?: true;
  /** LVM takes disks of VMware's names only, in the initramfs as well. */
  lvmFilter?: true;
  /** Its network and its SSH host keys were made by cloud-init, with what VMware told it (cloud-init.ts). */
  cloudInit?: true;
  /** Debian packages beside Debian's essential set. */
  packages: readonly string[];
}

export const BASE_PACKAGES = [
  'linux-image-amd64',
  'initramfs-tools',
  'zstd',
  'systemd-sysv',
  'udev',
  'dbus',
  'kmod',
  'e2fsprogs',
  'dosfstools',
  'iproute2',
  'grub2-common',
  'open-vm-tools',
] as const;
export const IFUPDOWN_PACKAGES = ['ifupdown', 'isc-dhcp-client'] as const;
/**
 * The loaders that Debian signs, in BIOS guests too, so that both share one set of packages; shim starts
 * `grubx64.efi` of its own directory.
 */
export const UEFI_PACKAGES = ['grub-efi-amd64-signed', 'shim-signed'] as const;
export const VMWARE_INITRAMFS = {
  tool: 'initramfs-tools',
  modules: ['vmw_pvscsi', 'mptspi', 'ahci', 'sd_mod', 'ext4'],
} as const satisfies GuestRecipe['initramfs'];

const ROOT = { mount: '/', filesystem: 'ext4', sizeMib: 1536, namedBy: 'by-path' } as const;
const SWAP = { mount: 'swap', filesystem: 'swap', sizeMib: 128, namedBy: 'kernel' } as const;
const SRV = { mount: '/srv', filesystem: 'ext4', sizeMib: 64, namedBy: 'by-path' } as const;

export const RECIPES = {
  'bookworm-bios': {
    name: 'bookworm-bios',
    release: 'bookworm',
    firmware: 'bios',
    disks: [
      {
        label: 'dos',
        partitions: [
          { mount: '/boot', filesystem: 'ext4', sizeMib: 256, namedBy: 'by-path' },
          ROOT,
          SWAP,
          SRV,
        ],
      },
    ],
    initramfs: VMWARE_INITRAMFS,
    network: { backend: 'ifupdown', interface: 'ens192', mac: '00:50:56:01:02:03', pin: 'udev-rules' },
    packages: [...BASE_PACKAGES, ...IFUPDOWN_PACKAGES, ...UEFI_PACKAGES],
  },
  'bookworm-uefi': {
    name: 'bookworm-uefi',
    release: 'bookworm',
    firmware: 'uefi',
    disks: [
      {
        label: 'gpt',
        partitions: [
          { mount: '/boot/efi', filesystem: 'vfat', sizeMib: 64, namedBy: 'by-path' },
          ROOT,
          SWAP,
          SRV,
        ],
      },
    ],
    initramfs: VMWARE_INITRAMFS,
    network: { backend: 'networkd', interface: 'ens192', mac: '00:50:56:01:02:04', pin: 'link' },
    packages: [...BASE_PACKAGES, ...IFUPDOWN_PACKAGES, ...UEFI_PACKAGES],
  },
} as const satisfies Record<string, GuestRecipe>;
