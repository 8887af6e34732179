import { z } from 'zod';
import { devicesSchema } from './plan.js';
import { windowsFields } from './windows-identity.js';

/**
 * A filesystem, swap area, LUKS container or LVM member in the guest. `device` is its name in the appliance
 * (`/dev/sda1`, `/dev/vg/lv`).
 */
const filesystemSchema = z.object({
  device: z.string(),
  /** ext4, xfs, btrfs, vfat, swap, crypto_LUKS, LVM2_member, linux_raid_member, ntfs, … or `unknown`. */
  type: z.string(),
  uuid: z.string().nullable(),
  label: z.string().nullable(),
  /** Bytes. */
  size: z.int(),
  /**
   * Disk index in the VM and partition number, null for logical volumes and md arrays; partition 0 is a whole
   * disk.
   */
  disk: z.int().nullable(),
  partition: z.int().nullable(),
  partuuid: z.string().nullable(),
  partlabel: z.string().nullable(),
  /** GPT type GUID or `0x83`; null if it is not a partition. */
  parttype: z.string().nullable(),
  /**
   * The logical volume that this one is a snapshot of (`/dev/vg/root`), with the same UUID and label. Absent
   * otherwise.
   */
  snapshot_of: z.string().optional(),
  /**
   * Identifiers of its disk by which the old hypervisor showed it: 32 hexadecimal digits each. Absent where
   * there are none.
   */
  disk_ids: z.array(z.string()).optional(),
  /** What a running guest calls it: the kernel's name and udev's links. Absent for a guest that is off. */
  links: z.array(z.string()).optional(),
  /** device-mapper's identifier of a logical volume, which udev's by-id links have: `LVM-<group><volume>`. */
  dm_uuid: z.string().optional(),
  /**
   * Identifies this member of a filesystem or array on several devices; copies have the same value. Absent
   * otherwise.
   */
  member: z.string().optional(),
  /** Where the guest's fstab mounts it (after resolution); null if it does not. */
  mountpoint: z.string().nullable(),
});
export type Filesystem = z.infer<typeof filesystemSchema>;

const partitionTableSchema = z.object({
  disk: z.int(),
  scheme: z.enum(['mbr', 'gpt', 'none']),
  /** GPT's GUID of the disk, in lower case; absent where it is not known. */
  guid: z.string().optional(),
  partitions: z.array(
    z.object({
      number: z.int(),
      start: z.int(),
      size: z.int(),
      type: z.string(),
      bootable: z.boolean(),
      partuuid: z.string().nullable(),
    }),
  ),
});

/** A cpio archive inside an initramfs file. */
const initramfsSegmentSchema = z.object({
  compression: z.string(),
  offset: z.int(),
  size: z.int(),
  entries: z.int(),
});

const kernelSchema = z.object({
  /** `unknown` where neither the image nor its name tells it. */
  version: z.string(),
  /** Guest paths; modules are null where none of this version are installed. */
  image: z.string(),
  modules: z.string().nullable(),
  initramfs: z
    .object({
      /** Inside a unified image: `IMAGE.efi:.initrd` (guest/unified-image.ts). */
      path: z.string(),
      size: z.int(),
      segments: z.array(initramfsSegmentSchema),
      /** Kernel modules inside, by name without suffix, with `-` as `_`; sorted. */
      modules: z.array(z.string()),
      /** Copies of the guest's configuration inside that may name devices, by path. */
      texts: z.record(z.string(), z.string()).optional(),
      /**
       * The directory inside that really contains `modules/<version>`: `lib` or `usr/lib` (a `lib` link must
       * not be replaced).
       */
      lib: z.enum(['lib', 'usr/lib']),
      /** Why the container cannot be read; null if it was read. */
      unreadable: z.string().nullable(),
      /**
       * Which modules its init loads: `any` that a device of the machine asks for, those on its own list (`modules`
       * are only these then), or not known. Absent: not looked at, by an older version.
       */
      loads: z.enum(['any', 'listed', 'unknown']).optional(),
    })
    .nullable(),
  /** Drivers built into the kernel by its configuration file, where its modules do not tell them all. */
  builtin: z.array(z.string()).optional(),
});
export type Kernel = z.infer<typeof kernelSchema>;

/** `options` select the tree (`subvol=@`); empty for a plain filesystem. */
const mountSchema = z.object({ device: z.string(), mountpoint: z.string(), options: z.string() });
export type Mount = z.infer<typeof mountSchema>;

/** What INSPECT finds of every system. */
const systemFields = {
  os_distro: z.string(),
  os_version: z.string(),
  os_name: z.string(),
  firmware: z.enum(['bios', 'uefi']),
  bootloader: z.enum(['grub2', 'grub-legacy', 'systemd-boot', 'extlinux', 'lilo', 'bootmgr', 'unknown']),
  architecture: z.string(),
  hostname: z.string(),
  partitions: z.array(partitionTableSchema),
  filesystems: z.array(filesystemSchema),
  /** Root device of the guest, as in `filesystems`, and the mounts of its tree, in mount order. */
  root: z.string(),
  mounts: z.array(mountSchema),
  encrypted: z.boolean(),
  /**
   * True if qemu-guest-agent is installed, through which libvirt can freeze filesystems, query addresses and
   * shut down.
   */
  qemu_guest_agent: z.boolean().default(false),
};

/** Every system but Windows. */
const OS_TYPES = [
  'linux',
  'freebsd',
  'openbsd',
  'netbsd',
  'dragonfly',
  'illumos',
  'haiku',
  'dos',
  'esxi',
  'unknown',
] as const;

/** Linux, and systems that nothing is changed in. */
export const linuxIdentitySchema = z.object({
  os_type: z.enum(OS_TYPES),
  ...systemFields,
  init_system: z.string(),
  network_manager: z.array(z.string()),
  kernels: z.array(kernelSchema),
  /** Unified kernel images that could be read, by guest path; `version` is null if they do not name it. */
  unified_images: z
    .array(z.object({ path: z.string(), version: z.string().nullable(), signed: z.boolean() }))
    .default([]),
  initramfs_tool: z.string(),
  package_manager: z.string(),
  vmware_tools: z.enum(['none', 'open-vm-tools', 'tarball']),
  selinux: z.boolean(),
  /**
   * Of a system that nothing can be changed in, so that `fix.mode = "none"` is the only way: why, and the
   * devices that such a system drives without help. Absent where its family has fixers.
   */
  as_is: z.object({ reason: z.string(), devices: devicesSchema }).optional(),
});
export type LinuxIdentity = z.infer<typeof linuxIdentitySchema>;

export const windowsIdentitySchema = z.object({
  os_type: z.literal('windows'),
  ...systemFields,
  ...windowsFields,
});
export type WindowsIdentity = z.infer<typeof windowsIdentitySchema>;

export type Identity = LinuxIdentity | WindowsIdentity;

/** What the machine for a guest depends on. */
export const machineIdentitySchema = z.object({
  os_type: z.enum([...OS_TYPES, 'windows']),
  firmware: systemFields.firmware,
  architecture: systemFields.architecture,
  as_is: linuxIdentitySchema.shape.as_is,
  ...z
    .object(windowsFields)
    .pick({ build: true, installation_type: true, smbios_uuid: true, clock: true, boot_store: true })
    .partial().shape,
});
export type MachineIdentity = z.infer<typeof machineIdentitySchema>;

/**
 * A LUKS container that was opened with the job's key, as `/dev/mapper/<name>`. `key_file` is the name in the
 * job's options: the key itself is not stored.
 */
export const unlockedSchema = z.object({ device: z.string(), name: z.string(), key_file: z.string() });
export type Unlocked = z.infer<typeof unlockedSchema>;
