import { Hyper2kvmError } from '../../../errors/error.js';
import { areMembersOfOne } from '../../../guest/device-names.js';
import type { Filesystem } from '../../../model/identity.js';
import type { Root, RootSearch } from './roots.js';

/**
 * Returns the root that the VM boots, or null if there is none. First comes the root that the boot loader's
 * first entry starts, then one whose own fstab mounts itself at `/` (a snapshot's names its origin), then the
 * one on the first disk, then the largest. Throws `inspect.duplicate-uuid` if nothing tells the root from a
 * copy of it.
 */
export function chooseRoot(search: RootSearch, filesystems: readonly Filesystem[]): Root | null {
  const [first] = [...search.roots].sort(
    (a, b) =>
      (a.booted ?? NOT_BOOTED) - (b.booted ?? NOT_BOOTED) ||
      Number(b.isSelfMounted) - Number(a.isSelfMounted) ||
      isSnapshot(a, filesystems) - isSnapshot(b, filesystems) ||
      diskOf(a, filesystems) - diskOf(b, filesystems) ||
      sizeOf(b, filesystems) - sizeOf(a, filesystems),
  );
  if (first === undefined) return null;
  refuseCopies(first, search, filesystems);
  return first;
}

/** Sorts behind all roots that an entry names. */
const NOT_BOOTED = Number.MAX_SAFE_INTEGER;

/** Layers below a volume: a copy of one duplicates everything in it, and LVM may use either. */
const CONTAINERS = new Set(['LVM2_member', 'crypto_LUKS']);

/** Refuses a root that has copies: FIX would change one of them, and the guest might boot from another. */
function refuseCopies(root: Root, { roots }: RootSearch, filesystems: readonly Filesystem[]): void {
  const own = find(root, filesystems);
  if (root.isSelfMounted && own?.disk !== null) return;
  if (!root.isSelfMounted && root.sharesName !== null)
    throw duplicateUuid(root.sharesName.spec, root.sharesName.devices);
  const isCopy = (other: Filesystem | undefined) =>
    own !== undefined &&
    other !== undefined &&
    own.uuid !== null &&
    other.uuid === own.uuid &&
    other.device !== own.device &&
    other.snapshot_of === undefined &&
    !areMembersOfOne([own, other]);
  const copies = roots.filter((other) => isCopy(find(other, filesystems)));
  if (!root.isSelfMounted && own?.snapshot_of === undefined && copies.length > 0)
    throw duplicateUuid(
      `UUID=${own?.uuid}`,
      [root, ...copies].map(({ device }) => device),
    );
  if (own?.disk !== null) return;
  for (const { type, uuid } of filesystems.filter((layer) => CONTAINERS.has(layer.type))) {
    const copies = filesystems.filter((other) => other.type === type && other.uuid === uuid);
    if (uuid !== null && copies.length > 1)
      throw duplicateUuid(
        `${type} ${uuid}`,
        copies.map(({ device }) => device),
      );
  }
}

export function duplicateUuid(name: string, devices: readonly string[]): Hyper2kvmError {
  return new Hyper2kvmError(
    'inspect.duplicate-uuid',
    `${name} is on ${devices.join(' and ')}: cannot tell which of them the VM boots from`,
  );
}

const find = (root: Root, filesystems: readonly Filesystem[]) =>
  filesystems.find((filesystem) => filesystem.device === root.device);
const isSnapshot = (root: Root, filesystems: readonly Filesystem[]) =>
  Number(find(root, filesystems)?.snapshot_of !== undefined);
const diskOf = (root: Root, filesystems: readonly Filesystem[]) => find(root, filesystems)?.disk ?? 0;
const sizeOf = (root: Root, filesystems: readonly Filesystem[]) => find(root, filesystems)?.size ?? 0;
