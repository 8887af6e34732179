import type { Filesystem } from '../../stages/inspect/schema.js';
import type { Guest } from '../fixer.js';
import { resolveDevice } from './device-names.js';

/** What else is known of the line that an unstable name stands in. */
export interface NameHint {
  /** fstab's mount point: finds the filesystem where the name itself tells too little (`by-id` with several disks). */
  mountpoint?: string;
  /** fstab's type: a name that leads to another type was resolved wrongly. */
  type?: string;
  /** There is no filesystem to go by, or nobody who could look for it (a kernel without initramfs). */
  only?: 'partuuid';
}

/** `UUID=…` (or `PARTUUID=…`) for what an unstable name meant; null when that cannot be told. */
export function stabilise(
  spec: string,
  { identity, controllers }: Guest,
  hint: NameHint = {},
): string | null {
  const { filesystems } = identity;
  const resolved = resolveDevice(spec, { filesystems, controllers });
  const found =
    resolved !== null && typesAgree(hint.type, resolved.type)
      ? resolved
      : onlyOneAt(hint.mountpoint, filesystems);
  return found === null ? null : stableSpec(found, filesystems, hint.only);
}

function onlyOneAt(mountpoint: string | undefined, filesystems: readonly Filesystem[]): Filesystem | null {
  const found = filesystems.filter((filesystem) => filesystem.mountpoint === mountpoint);
  return mountpoint !== undefined && found.length === 1 ? (found[0] ?? null) : null;
}

/** Filesystems that share one UUID by design; elsewhere a shared UUID is a cloned disk and tells nothing. */
const SHARED_UUID = new Set(['btrfs', 'linux_raid_member', 'zfs_member', 'bcachefs']);

function stableSpec(
  filesystem: Filesystem,
  all: readonly Filesystem[],
  only: NameHint['only'],
): string | null {
  const { uuid, partuuid, type } = filesystem;
  const isUnique = (key: 'uuid' | 'partuuid') =>
    all.filter((other) => other[key] === filesystem[key]).length === 1;
  const hasUuid = uuid !== null && (SHARED_UUID.has(type) || isUnique('uuid'));
  if (hasUuid && only === undefined) return `UUID=${uuid}`;
  return partuuid !== null && isUnique('partuuid') ? `PARTUUID=${partuuid}` : null;
}

const FAMILIES = [
  ['ext2', 'ext3', 'ext4', 'ext4dev'],
  ['vfat', 'msdos', 'fat', 'exfat'],
  ['ntfs', 'ntfs-3g', 'ntfs3', 'fuseblk'],
  ['swap', 'swsuspend'],
];

/** fstab's type (a comma list, `auto`) against what is on the disk. Nothing known on either side: no contradiction. */
function typesAgree(wanted: string | undefined, found: string): boolean {
  if (wanted === undefined || wanted === 'auto' || found === 'unknown') return true;
  const family = FAMILIES.find((types) => types.includes(found)) ?? [found];
  return wanted.split(',').some((type) => family.includes(type));
}
