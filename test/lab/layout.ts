import { createHash } from 'node:crypto';
import type { DiskRecipe, GuestRecipe, PartitionRecipe, VolumeRecipe } from './recipes.ts';

const MIB = 1024 * 1024;
const SECTOR = 512;

/** A partition with its place on the disk (bytes) and the names that the guest and the tools know it by. */
export interface PlacedPartition extends PartitionRecipe {
  number: number;
  offset: number;
  size: number;
  /** ext4 and swap: a UUID; vfat: the volume id as `XXXX-XXXX`. */
  uuid: string;
  /** `/dev/sda2`: what VMware's guest kernel calls it. */
  kernelName: string;
  /** `/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0-part2` */
  byPath: string;
}

export interface DiskLayout {
  label: DiskRecipe['label'];
  /** Label id for sfdisk: `0x…` for dos, a UUID for gpt. */
  labelId: string;
  /** Bytes. */
  size: number;
  partitions: PlacedPartition[];
}

/** VMware's first PVSCSI controller sits in slot 160, which its firmware numbers 0000:03:00.0. */
const VMWARE_SCSI_ADDRESS = '0000:03:00.0';
/** VMware's first NIC sits in slot 192: hence `ens192`. */
export const VMWARE_NIC_ADDRESS = '0000:0b:00.0';

export function layOut(recipe: GuestRecipe): DiskLayout[] {
  return recipe.disks.map((disk, index) => layOutDisk(recipe.name, disk, index));
}

/** A filesystem or swap area of the guest, on a partition or on a volume. */
export interface GuestFilesystem {
  mount: string;
  filesystem: Exclude<PartitionRecipe['filesystem'], 'member'>;
  uuid: string;
  /** Its device as the kernel names it on VMware: `/dev/sda2`, `/dev/md0`, `/dev/mapper/vg0-root`. */
  device: string;
  /** What fstab calls it. */
  spec: string;
  /** btrfs: the subvolume that is mounted; null for all else. */
  subvolume: string | null;
  /** A systemd unit has it, and not fstab. */
  unit: boolean;
}

/**
 * Everything that the guest mounts or swaps to: partitions in their order, then volumes from the bottom up.
 */
export function filesystemsOf(recipe: GuestRecipe): GuestFilesystem[] {
  const partitions = layOut(recipe)
    .flatMap((disk, index) => disk.partitions.map((partition) => ({ ...partition, disk: index })))
    .flatMap(({ filesystem, mount, uuid, kernelName: device, ...partition }) => {
      if (filesystem === 'member') return [];
      const specs = {
        ...{ 'by-path': partition.byPath, 'by-id': byIdName(recipe, partition) },
        ...{ kernel: device, uuid: `UUID=${uuid}` },
      };
      const spec = specs[partition.namedBy];
      const subvolumes: [string, string | null][] = Object.entries(partition.subvolumes ?? { [mount]: null });
      const unit = partition.unit === true;
      return subvolumes.map(([at, subvolume]) => ({
        ...{ mount: at, filesystem, uuid, device, spec, subvolume, unit },
      }));
    });
  const volumes = (recipe.volumes ?? []).flatMap((volume) =>
    volume.filesystems.map(({ mount, filesystem, name = '' }) => {
      const device = deviceOf(volume, name);
      const uuid = uuidFrom(`${recipe.name}/${volume.name}/${name}`);
      return { mount, filesystem, uuid, device, spec: device, subvolume: null, unit: false };
    }),
  );
  return [...partitions, ...volumes];
}

/** A disk's UUID as VMware makes them: 16 bytes, of which the first four are its own. */
export const diskUuid = (recipe: GuestRecipe, disk: number): string =>
  `6000c29${hexFrom(`${recipe.name}/disk${disk}/uuid`).slice(0, 25)}`;

/** The name that udev makes of a disk's UUID where VMware shows it to the guest (disk.EnableUUID). */
const byIdName = (recipe: GuestRecipe, { disk, number }: { disk: number; number: number }): string =>
  `/dev/disk/by-id/${disk === 0 ? 'scsi-3' : 'wwn-0x'}${diskUuid(recipe, disk)}-part${number}`;

/** The filesystem that is mounted at `mount`; the recipe is wrong where there is none. */
export function filesystemAt(recipe: GuestRecipe, mount: string): GuestFilesystem {
  const found = filesystemsOf(recipe).find((filesystem) => filesystem.mount === mount);
  if (found === undefined) throw new RangeError(`the recipe has no filesystem for ${mount}`);
  return found;
}

/** Kernel names of the partitions that a volume is made of. */
export const membersOf = (recipe: GuestRecipe, volume: VolumeRecipe): string[] =>
  layOut(recipe)
    .flatMap((disk) => disk.partitions)
    .filter(({ filesystem, mount }) => filesystem === 'member' && mount === volume.name)
    .map(({ kernelName }) => kernelName);

/** LVM doubles the dashes of both names in the device mapper's. */
export function deviceOf(volume: VolumeRecipe, logicalVolume = ''): string {
  if (volume.kind === 'md') return `/dev/${volume.name}`;
  if (volume.kind === 'luks') return `/dev/mapper/${volume.name}`;
  return `/dev/mapper/${[volume.name, logicalVolume].map((name) => name.replaceAll('-', '--')).join('-')}`;
}

export const volumeUuid = (recipe: GuestRecipe, volume: VolumeRecipe): string =>
  uuidFrom(`${recipe.name}/${volume.name}`);

/** mdadm writes a UUID in four groups of eight digits. */
export function arrayUuid(uuid: string): string {
  return uuid.replaceAll('-', '').replace(/(.{8})(?=.)/g, '$1:');
}

/** What opens a LUKS volume of the lab: the content of its key file, without a newline. */
export const keyOf = (recipe: GuestRecipe, volume: VolumeRecipe): string =>
  hexFrom(`${recipe.name}/${volume.name}/key`);

/** The partition that is mounted at `mount`; the recipe is wrong where there is none. */
export function partitionAt(disks: readonly DiskLayout[], mount: string): PlacedPartition {
  const found = disks.flatMap((disk) => disk.partitions).find((partition) => partition.mount === mount);
  if (found === undefined) throw new RangeError(`the recipe has no partition for ${mount}`);
  return found;
}

/** Input for `sfdisk`, see sfdisk(8) "Script headers" and "Named-fields format". */
export function sfdiskScript(disk: DiskLayout): string {
  const lines = disk.partitions.map((partition) => {
    const fields = [
      `start=${partition.offset / SECTOR}`,
      `size=${partition.size / SECTOR}`,
      `type=${partitionType(disk.label, partition)}`,
    ];
    if (disk.label === 'gpt') fields.push(`uuid=${uuidFrom(`${disk.labelId}/${partition.number}`)}`);
    if (disk.label === 'dos' && partition.number === 1) fields.push('bootable');
    return fields.join(', ');
  });
  return [`label: ${disk.label}`, `label-id: ${disk.labelId}`, 'unit: sectors', '', ...lines, ''].join('\n');
}

/** A UUID in the form of version 4 that is the same for the same seed. */
export function uuidFrom(seed: string): string {
  const hex = hexFrom(seed);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

export function hexFrom(seed: string): string {
  return createHash('sha256').update(seed).digest('hex');
}

function layOutDisk(name: string, disk: DiskRecipe, index: number): DiskLayout {
  const letter = String.fromCharCode('a'.charCodeAt(0) + index);
  const seed = `${name}/disk${index}`;
  let offset = MIB;
  const partitions = disk.partitions.map((partition, position): PlacedPartition => {
    const number = position + 1;
    const placed = {
      ...partition,
      number,
      offset,
      size: partition.sizeMib * MIB,
      uuid: filesystemId(partition, `${seed}/part${number}`),
      kernelName: `/dev/sd${letter}${number}`,
      byPath: `/dev/disk/by-path/pci-${VMWARE_SCSI_ADDRESS}-scsi-0:0:${index}:0-part${number}`,
    };
    offset += placed.size;
    return placed;
  });
  return {
    label: disk.label,
    labelId: disk.label === 'gpt' ? uuidFrom(seed) : `0x${hexFrom(seed).slice(0, 8)}`,
    // GPT keeps its backup table behind the last partition.
    size: offset + MIB,
    partitions,
  };
}

function filesystemId(partition: PartitionRecipe, seed: string): string {
  if (partition.filesystem !== 'vfat') return uuidFrom(seed);
  const hex = hexFrom(seed).toUpperCase();
  return `${hex.slice(0, 4)}-${hex.slice(4, 8)}`;
}

function partitionType(label: DiskRecipe['label'], partition: PartitionRecipe): string {
  const types = {
    dos: { linux: '83', swap: '82', vfat: 'c' },
    gpt: {
      linux: '0FC63DAF-8483-4772-8E79-3D69D8477DE4',
      swap: '0657FD6D-A4AB-43C4-84E5-0933C84B4F4F',
      vfat: 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B',
    },
  } as const;
  const { filesystem } = partition;
  return types[label][filesystem === 'swap' || filesystem === 'vfat' ? filesystem : 'linux'];
}
