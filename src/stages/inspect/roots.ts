import type { ApplianceSession } from '../../appliance/session.js';
import { Hyper2kvmError } from '../../errors/error.js';
import {
  areMembersOfOne,
  type DeviceContext,
  filesystemsNamed,
  resolveDevice,
} from '../../guest/device-names.js';
import { parseFstab } from '../../guest/fstab.js';
import type { Filesystem } from '../../model/identity.js';
import { refusal } from './tolerate.js';

export interface Root {
  device: string;
  /** Mount options that select it (`subvol=@`), empty for a plain filesystem. */
  options: string;
  /** Names in its top directory. */
  names: string[];
  /** True where its own fstab mounts this very filesystem and subvolume at `/`; a snapshot's fstab names the one it was taken of. */
  isSelfMounted: boolean;
  /** What its fstab mounts at `/`, and the copies that have the same name where this root is one of them; empty where it is the only one. */
  sharesName: { spec: string; devices: string[] } | null;
}

const ROOT_TYPES = new Set(['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'f2fs', 'jfs', 'reiserfs']);
/** Where snapper, timeshift and the like keep read-only copies of a root: never the system that boots. */
const SNAPSHOT_PATH = /(^|\/)(\.snapshots|timeshift-btrfs|snapshots?|@snapshots)(\/|$)/i;

export interface RootSearch {
  roots: Root[];
  /** Filesystems that could not be mounted, with the reason. */
  unmountable: { device: string; reason: string }[];
  windows: string | null;
}

/** Looks at every filesystem for a Linux root. Mounted read-only: a dirty journal is replayed into the overlay, never into the source. */
export async function findRoots(
  session: ApplianceSession,
  filesystems: readonly Filesystem[],
  controllers: readonly (string | null)[],
): Promise<RootSearch> {
  const search: RootSearch = { roots: [], unmountable: [], windows: null };
  const isSnapshot = ({ snapshot_of }: Filesystem) => snapshot_of !== undefined;
  // Mounting one replays its journal into it: only where nothing else mounts itself.
  const [first, later] = [filesystems.filter((other) => !isSnapshot(other)), filesystems.filter(isSnapshot)];
  await look(session, first, search, { filesystems, controllers });
  if (!search.roots.some(({ isSelfMounted, sharesName }) => isSelfMounted || sharesName !== null))
    await look(session, later, search, { filesystems, controllers });
  return search;
}

async function look(
  session: ApplianceSession,
  filesystems: readonly Filesystem[],
  search: RootSearch,
  context: DeviceContext,
): Promise<void> {
  for (const filesystem of filesystems) {
    if (filesystem.type === 'ntfs' && search.windows === null) {
      if (await isWindows(session, filesystem.device)) search.windows = filesystem.device;
      continue;
    }
    if (!ROOT_TYPES.has(filesystem.type)) continue;
    for (const subvolume of await subvolumesOf(session, filesystem, search)) {
      const root = await lookInside(session, { filesystem, ...subvolume }, search, context);
      if (root !== null) search.roots.push(root);
    }
  }
}

/** Mount options of each tree that may be a root: the filesystem itself, on btrfs its subvolumes too. Empty where it cannot be mounted. */
async function subvolumesOf(
  session: ApplianceSession,
  { device, type }: Filesystem,
  { unmountable }: RootSearch,
): Promise<Pick<Candidate, 'options' | 'subvolume'>[]> {
  if (type !== 'btrfs') return [{ options: '' }];
  try {
    await session.call('mount_options', 'ro', device, '/');
    const subvolumes = await session.call('btrfs_subvolume_list', '/');
    const live = subvolumes.filter(({ path }) => !SNAPSHOT_PATH.test(path));
    return [{ options: '' }, ...live.map(({ id, path }) => ({ options: `subvol=${path}`, subvolume: id }))];
  } catch (error) {
    unmountable.push({ device, reason: refusal(error) });
    return [];
  } finally {
    await session.call('umount_all');
  }
}

/** The root that is there, or null. What cannot be read is noted: another filesystem may have the system. */
async function lookInside(
  session: ApplianceSession,
  place: Omit<Candidate, 'names'>,
  { unmountable }: RootSearch,
  context: DeviceContext,
): Promise<Root | null> {
  const { filesystem, options } = place;
  try {
    await session.call('mount_options', readOnly(options), filesystem.device, '/');
    const names = await session.call('ls', '/');
    return looksLikeRoot(names) ? await describeRoot(session, { ...place, names }, context) : null;
  } catch (error) {
    const device = options === '' ? filesystem.device : `${filesystem.device} (${options})`;
    unmountable.push({ device, reason: refusal(error) });
    return null;
  } finally {
    await session.call('umount_all');
  }
}

export const readOnly = (options: string): string => (options === '' ? 'ro' : `ro,${options}`);

interface Candidate {
  filesystem: Filesystem;
  options: string;
  /** Number of the btrfs subvolume that the options name. */
  subvolume?: number;
  names: string[];
}

/** `candidate` is mounted. */
async function describeRoot(
  session: ApplianceSession,
  candidate: Candidate,
  context: DeviceContext,
): Promise<Root> {
  const { filesystem, options, names } = candidate;
  const fstab = names.includes('etc') ? await readFstab(session) : '';
  return {
    device: filesystem.device,
    options,
    names,
    isSelfMounted: mountsItself(fstab, candidate, context),
    sharesName: sharedName(fstab, filesystem, context),
  };
}

/** A larger one is no configuration. */
const MAX_FSTAB_BYTES = 1024 * 1024;

/** Empty where there is none, or a link in a circle: then it tells nothing, and INSPECT warns of it later. */
async function readFstab(session: ApplianceSession): Promise<string> {
  try {
    if (!(await session.call('is_file_opts', '/etc/fstab', { followsymlinks: true }))) return '';
    if ((await session.call('statns', '/etc/fstab')).size > MAX_FSTAB_BYTES) return '';
    return (await session.call('read_file', '/etc/fstab')).toString('utf8');
  } catch (error) {
    refusal(error);
    return '';
  }
}

/** The name of `/` in a root's fstab, where it means copies of the root as well as the root. Pure. */
function sharedName(fstab: string, { device }: Filesystem, context: DeviceContext): Root['sharesName'] {
  for (const { spec, mountpoint } of parseFstab(fstab)) {
    if (mountpoint !== '/') continue;
    const devices = filesystemsNamed(spec, context).map((filesystem) => filesystem.device);
    if (devices.length > 1 && devices.includes(device)) return { spec, devices };
  }
  return null;
}

/** A line for `/` without `subvol=` means the default subvolume, which is what is mounted without options. Pure. */
export function mountsItself(
  fstab: string,
  { filesystem, options, subvolume: own }: Omit<Candidate, 'names'>,
  context: DeviceContext,
): boolean {
  return parseFstab(fstab).some(({ spec, mountpoint, options: mountOptions }) => {
    if (mountpoint !== '/') return false;
    const subvolume = mountOptions
      .find((option) => option.startsWith('subvol='))
      ?.replace(/^subvol=\/?/, 'subvol=');
    if (resolveDevice(spec, context)?.device !== filesystem.device) return false;
    const number = mountOptions.map((option) => /^subvolid=(\d+)/.exec(option)?.[1]).find(Boolean);
    return subvolume === undefined && number !== undefined
      ? Number(number) === own
      : (subvolume ?? '') === options;
  });
}

async function isWindows(session: ApplianceSession, device: string): Promise<boolean> {
  try {
    await session.call('mount_options', 'ro', device, '/');
    return (await session.call('ls', '/')).some((name) => name.toLowerCase() === 'windows');
  } catch (error) {
    // A hibernated or dirty NTFS does not mount; whether it is Windows is then not known.
    refusal(error);
    return false;
  } finally {
    await session.call('umount_all');
  }
}

/** A root has /etc and programs; /boot or /home alone have not. */
function looksLikeRoot(names: readonly string[]): boolean {
  const has = (name: string) => names.includes(name);
  return has('etc') && (has('usr') || has('bin')) && (has('sbin') || has('lib') || has('usr'));
}

/**
 * The rule for several roots: one whose own fstab mounts itself at `/` before the others (a snapshot's names what it was taken of), then the first disk's, then the
 * largest. `inspect.duplicate-uuid` where nothing tells it from a copy, `inspect.no-os` and its kin where there is none.
 */
export function chooseRoot(search: RootSearch, filesystems: readonly Filesystem[]): Root {
  const [first] = [...search.roots].sort(
    (a, b) =>
      Number(b.isSelfMounted) - Number(a.isSelfMounted) ||
      isSnapshot(a, filesystems) - isSnapshot(b, filesystems) ||
      diskOf(a, filesystems) - diskOf(b, filesystems) ||
      sizeOf(b, filesystems) - sizeOf(a, filesystems),
  );
  if (first !== undefined) {
    refuseCopies(first, search, filesystems);
    return first;
  }
  if (search.windows !== null) {
    throw new Hyper2kvmError('inspect.windows-unsupported', `Windows is installed on ${search.windows}`, {
      advice:
        'This version converts Linux guests. fix.mode = "none" does not help either: Windows needs its drivers first.',
    });
  }
  const isOpen = ({ uuid }: Filesystem) =>
    filesystems.some(({ device }) => device === `/dev/mapper/luks-${uuid}`);
  const luks = filesystems.find((filesystem) => filesystem.type === 'crypto_LUKS' && !isOpen(filesystem));
  if (luks !== undefined) {
    throw new Hyper2kvmError(
      'inspect.encrypted',
      `${luks.device} is encrypted with LUKS and no system is outside of it`,
      {
        advice:
          'Give its key in the job.toml ([[guest.luks]] device = "/dev/sda3", key_file = "root.key"), decrypt the guest on the old hypervisor, or convert it with kind = "data".',
      },
    );
  }
  const [broken] = search.unmountable;
  if (broken !== undefined) {
    throw new Hyper2kvmError('inspect.unmountable', `${broken.device} cannot be mounted: ${broken.reason}`, {
      advice:
        'The filesystem is damaged: start the VM on the old hypervisor, check it (fsck), shut it down cleanly.',
    });
  }
  throw new Hyper2kvmError('inspect.no-os', 'no operating system was found on any filesystem of this VM', {
    advice:
      'For a disk with data only put kind = "data" into its job.toml; otherwise check that all disks of the VM were dropped.',
  });
}

/** Layers below a volume: a copy of one gives all that is in it twice, and LVM takes either. */
const CONTAINERS = new Set(['LVM2_member', 'crypto_LUKS']);

/** FIX would change one of the copies, and the guest might start from the other. */
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
    `${name} is on ${devices.join(' and ')}: nothing tells which of them the VM starts from`,
    {
      advice:
        'Drop the VM without the copied disk, or give the copy a UUID of its own in the guest (tune2fs -U random, xfs_admin -U generate, btrfstune -u, vgimportclone, cryptsetup luksUUID).',
    },
  );
}

const find = (root: Root, filesystems: readonly Filesystem[]) =>
  filesystems.find((filesystem) => filesystem.device === root.device);
const isSnapshot = (root: Root, filesystems: readonly Filesystem[]) =>
  Number(find(root, filesystems)?.snapshot_of !== undefined);
const diskOf = (root: Root, filesystems: readonly Filesystem[]) => find(root, filesystems)?.disk ?? 0;
const sizeOf = (root: Root, filesystems: readonly Filesystem[]) => find(root, filesystems)?.size ?? 0;
