import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { bootDirectory } from './boot-loaders.ts';
import {
  arrayUuid,
  deviceOf,
  filesystemsOf,
  type GuestFilesystem,
  keyOf,
  layOut,
  membersOf,
  volumeUuid,
} from './layout.ts';
import { asRoot } from './privileged.ts';
import type { GuestRecipe, VolumeRecipe } from './recipes.ts';
import { runInAppliance } from './run-in-appliance.ts';

/**
 * mke2fs fills a filesystem without mounting it; everything else needs a kernel that knows it, and this
 * host's may not.
 */
export function canMakeOnHost(recipe: GuestRecipe): boolean {
  const partitions = layOut(recipe).flatMap((disk) => disk.partitions);
  return (
    recipe.volumes === undefined &&
    recipe.loader !== 'extlinux' &&
    partitions.every(({ filesystem }) => ['ext4', 'vfat', 'swap'].includes(filesystem))
  );
}

/**
 * Makes volumes and filesystems on the partitioned `images` in a libguestfs appliance and unpacks the tree
 * into them. About two minutes without KVM.
 */
export async function fillInAppliance(
  recipe: GuestRecipe,
  images: readonly string[],
  { root, directory }: { root: string; directory: string },
): Promise<void> {
  const archive = join(directory, 'root.tar');
  await asRoot('tar', ['-cpf', archive, '-C', root, '--numeric-owner', '--xattrs', '.']);
  await runInAppliance({
    disks: [
      ...images.map((file) => ({ file, format: 'raw' as const, readonly: false })),
      { file: archive, format: 'raw', readonly: true },
    ],
    script: applianceScript(recipe),
  });
  await rm(archive);
}

/**
 * The shell script that the appliance runs; the tree's tar archive is its last disk. The guest's disks have
 * there the names that they have on VMware. Pure.
 */
export function applianceScript(recipe: GuestRecipe): string {
  const filesystems = filesystemsOf(recipe).filter(({ filesystem }) => filesystem !== 'vfat');
  const archive = `/dev/sd${String.fromCharCode('a'.charCodeAt(0) + recipe.disks.length)}`;
  const volumes = recipe.volumes ?? [];
  const mounts = filesystems
    .filter(({ mount }) => mount.startsWith('/'))
    .sort((a, b) => a.mount.length - b.mount.length);
  return [
    'set -ex; udevadm settle',
    ...volumes.map((volume) => makeVolume(recipe, volume)),
    ...uniqueDevices(filesystems).map((filesystem) => makeFilesystem(recipe, filesystem)),
    ...mounts.map((filesystem) => mountCommand(filesystem)),
    `tar -xpf ${archive} -C /sysroot --numeric-owner --xattrs`,
    ...(needsInitramfs(recipe) ? [INITRAMFS] : []),
    ...(recipe.loader === 'extlinux' ? [installExtlinux(recipe)] : []),
    ...uniqueDevices(filesystems).flatMap(snapshots),
    'umount -R /sysroot; sync',
    ...volumes.toReversed().map(closeVolume),
    '',
  ].join('\n');
}

/**
 * Lists the whole tree of a guest whose disks are the appliance's first: one line a file with type, mode,
 * owner, size, link target, extended attributes and digest, by path; no timestamps. The listing goes on the
 * disk behind them, ended by a NUL. Pure.
 */
export function listingScript(recipe: GuestRecipe): string {
  const mounts = filesystemsOf(recipe)
    .filter(({ mount }) => mount.startsWith('/'))
    .sort((a, b) => a.mount.length - b.mount.length);
  const luks = (recipe.volumes ?? []).filter(({ kind }) => kind === 'luks');
  const target = `/dev/sd${String.fromCharCode('a'.charCodeAt(0) + recipe.disks.length)}`;
  return [
    'set -ex; udevadm settle',
    ...luks.map((volume) => openLuks(recipe, volume)),
    'vgchange -q -ay; udevadm settle',
    ...mounts.map((filesystem) => mountCommand(filesystem, ['ro'])),
    'cd /sysroot',
    // A directory's size is the filesystem's own affair.
    "find . ! -type d -printf '%p\\t%y %m %U:%G %s %l\\n' > /tmp/listing",
    "find . -type d -printf '%p\\t%y %m %U:%G\\n' >> /tmp/listing",
    "find . -type f -print0 | xargs -0 md5sum | sed -E 's/^(\\\\?)([0-9a-f]+)  (.*)$/\\3\\t\\2/' >> /tmp/listing",
    // The appliance has no awk.
    "getfattr -R -P -h -d -m - --absolute-names . | sed -nE '/^# file: /{s///;h;d};/./{G;s/^(.*)\\n(.*)$/\\2\\t\\1/p}' >> /tmp/listing",
    `LC_ALL=C sort /tmp/listing > ${target}; cd /; umount -R /sysroot; sync`,
    '',
  ].join('\n');
}

const uniqueDevices = (filesystems: readonly GuestFilesystem[]) =>
  filesystems.filter(
    ({ device }, index) => filesystems.findIndex((other) => other.device === device) === index,
  );

function makeVolume(recipe: GuestRecipe, volume: VolumeRecipe): string {
  const below = (recipe.volumes ?? []).find(({ name }) => name === volume.on);
  const members = below === undefined ? membersOf(recipe, volume) : [deviceOf(below)];
  const uuid = volumeUuid(recipe, volume);
  if (volume.kind === 'md') {
    const options = `--level=1 --raid-devices=${members.length} --metadata=1.2 --homehost=any --name=${volume.name.replace('md', '')}`;
    // The copy onto the second member would go on for longer than all the rest: both are empty.
    return `yes | mdadm --create /dev/${volume.name} --run --assume-clean ${options} --uuid=${arrayUuid(uuid)} ${members.join(' ')}`;
  }
  if (volume.kind === 'luks') {
    // A key of 256 random bits needs no slow derivation, and under TCG the guest would need a minute for it.
    const format = `-q luksFormat --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --uuid ${uuid}`;
    return `modprobe dm_crypt; ${withKey(recipe, volume)} ${format} ${members[0]} -; ${openLuks(recipe, volume)}`;
  }
  const logical = volume.filesystems.map(
    ({ name, sizeMib }) => `lvcreate -q -y -W n -n ${name} -L ${sizeMib}M ${volume.name}`,
  );
  return [
    `pvcreate -q -y ${members.join(' ')}`,
    `vgcreate -q ${volume.name} ${members.join(' ')}`,
    ...logical,
  ].join('; ');
}

const withKey = (recipe: GuestRecipe, volume: VolumeRecipe) =>
  `printf %s ${keyOf(recipe, volume)} | cryptsetup`;

const openLuks = (recipe: GuestRecipe, volume: VolumeRecipe) =>
  `${withKey(recipe, volume)} open --key-file - ${membersOf(recipe, volume)[0]} ${volume.name}`;

function makeFilesystem(
  recipe: GuestRecipe,
  { filesystem, uuid, device, subvolume }: GuestFilesystem,
): string {
  if (filesystem === 'swap') return `mkswap -q -U ${uuid} ${device}`;
  if (filesystem === 'xfs') return `mkfs.xfs -q -f -m uuid=${uuid} ${device}`;
  if (filesystem !== 'btrfs') {
    // syslinux 6.04 reads neither.
    const features = recipe.loader === 'extlinux' ? '-O ^64bit,^metadata_csum' : '';
    return `mkfs.ext4 -q -F ${features} -U ${uuid} ${device}`;
  }
  const names = filesystemsOf(recipe)
    .filter((other) => other.device === device && other.subvolume !== null)
    .map((other) => `btrfs subvolume create /sysroot/${other.subvolume}`);
  const create = subvolume === null ? [] : [`mount ${device} /sysroot`, ...names, 'umount /sysroot'];
  return [`mkfs.btrfs -q -f -U ${uuid} ${device}`, ...create].join('; ');
}

function mountCommand(
  { mount, filesystem, device, subvolume }: GuestFilesystem,
  options: readonly string[] = [],
): string {
  const all = [...options, ...(subvolume === null ? [] : [`subvol=${subvolume}`])];
  const chosen = all.length === 0 ? '' : `-o ${all.join(',')} `;
  return `mkdir -p /sysroot${mount}; mount -t ${filesystem} ${chosen}${device} /sysroot${mount}`;
}

/** What is made on this host knows nothing of the LUKS volume below the root. */
const needsInitramfs = ({ volumes = [] }: GuestRecipe) =>
  volumes.some(({ kind, name }) => kind === 'luks' && volumes.some(({ on }) => on === name));

const INITRAMFS =
  'for d in dev proc sys; do mount --bind /$d /sysroot/$d; done; chroot /sysroot update-initramfs -u -k all';

function installExtlinux(recipe: GuestRecipe): string {
  const directory = bootDirectory(recipe) === '' ? '/boot/extlinux' : `${bootDirectory(recipe)}/extlinux`;
  return `extlinux --install /sysroot${directory}; dd if=/sysroot/usr/lib/EXTLINUX/mbr.bin of=/dev/sda bs=440 count=1 conv=notrunc`;
}

/**
 * Copies of the root as timeshift and apt-btrfs-snapshot leave them: they look like a system, and are none.
 */
function snapshots({ filesystem, device, subvolume }: GuestFilesystem): string[] {
  if (filesystem !== 'btrfs' || subvolume === null) return [];
  const place = '/top/timeshift-btrfs/snapshots/2026-01-01_00-00-01';
  return [
    `mkdir -p /top; mount -o subvolid=5 ${device} /top; mkdir -p ${place}`,
    `btrfs subvolume snapshot /top/${subvolume} ${place}/@`,
    `btrfs subvolume snapshot /top/${subvolume} /top/${subvolume}apt-snapshot-2026-01-01_00:00:01`,
    'umount /top',
  ];
}

function closeVolume(volume: VolumeRecipe): string {
  if (volume.kind === 'md') return `mdadm --stop /dev/${volume.name}`;
  return volume.kind === 'luks' ? `cryptsetup close ${volume.name}` : `vgchange -q -an ${volume.name}`;
}
