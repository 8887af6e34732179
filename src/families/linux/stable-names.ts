import { areMembersOfOne, filesystemsNamed, resolveDevice } from '../../guest/device-names.js';
import type { Filesystem } from '../../model/identity.js';
import type { Guest } from '../base/fixer.js';

/** What else is known about the line that contains an unstable name. */
export interface NameHint {
  /**
   * The mount point in fstab: it identifies the filesystem if the name itself does not (`by-id` with several
   * disks).
   */
  mountpoint?: string;
  /** The type in fstab: a name that leads to another type was resolved wrongly. */
  type?: string;
  /** For a partition without a filesystem, or a kernel that cannot look for one (without an initramfs). */
  only?: 'partuuid';
}

/** Returns `UUID=…` (or `PARTUUID=…`) for an unstable name, or null if its target is unknown. */
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

/**
 * Returns `/dev/disk/by-uuid/…` (or by-partuuid) for what an unstable name meant, or null if it cannot be
 * resolved. For settings that take only a path, such as btrfs' `device=` and names of units.
 */
export function stablePath(spec: string, guest: Guest, hint: NameHint = {}): string | null {
  const [, tag, value] = /^(UUID|PARTUUID)=(.+)$/.exec(stabilise(spec, guest, hint) ?? '') ?? [];
  return tag === undefined ? null : `/dev/disk/by-${tag.toLowerCase()}/${value}`;
}

/** Returns what `spec` names and its copies if no stable name tells them apart; otherwise nothing. */
export function copiesOf(spec: string, { identity, controllers }: Guest): string[] {
  const { filesystems } = identity;
  const found = resolveDevice(spec, { filesystems, controllers });
  const same = filesystems.filter(({ uuid }) => found !== null && found.uuid !== null && uuid === found.uuid);
  const named = found === null ? filesystemsNamed(spec, { filesystems }) : same;
  return named.length < 2 || areMembersOfOne(named) ? [] : named.map(({ device }) => device);
}

function onlyOneAt(mountpoint: string | undefined, filesystems: readonly Filesystem[]): Filesystem | null {
  const found = filesystems.filter((filesystem) => filesystem.mountpoint === mountpoint);
  return mountpoint !== undefined && found.length === 1 ? (found[0] ?? null) : null;
}

function stableSpec(
  filesystem: Filesystem,
  all: readonly Filesystem[],
  only: NameHint['only'],
): string | null {
  const { uuid, partuuid } = filesystem;
  const isUnique = (key: 'uuid' | 'partuuid') => {
    const same = all.filter((other) => other[key] === filesystem[key]);
    return same.length === 1 || (key === 'uuid' && areMembersOfOne(same));
  };
  if (uuid !== null && only === undefined && isUnique('uuid')) return `UUID=${uuid}`;
  return partuuid !== null && isUnique('partuuid') ? `PARTUUID=${partuuid}` : null;
}

const FAMILIES = [
  ['ext2', 'ext3', 'ext4', 'ext4dev'],
  ['vfat', 'msdos', 'fat', 'exfat'],
  ['ntfs', 'ntfs-3g', 'ntfs3', 'fuseblk'],
  ['swap', 'swsuspend'],
];

/**
 * Compares the type in fstab (a comma-separated list, `auto`) with the one on disk. If either is unknown,
 * they agree.
 */
function typesAgree(wanted: string | undefined, found: string): boolean {
  if (wanted === undefined || wanted === 'auto' || found === 'unknown') return true;
  const family = FAMILIES.find((types) => types.includes(found)) ?? [found];
  return wanted.split(',').some((type) => family.includes(type));
}
