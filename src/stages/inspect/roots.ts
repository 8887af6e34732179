import { Hyper2kvmError } from '../../errors.js';
import { type DeviceContext, resolveDevice } from '../../fixers/linux/device-names.js';
import type { ApplianceSession } from '../../guest/session.js';
import type { Filesystem } from './schema.js';
import { refusal } from './tolerate.js';

export interface Root {
  device: string;
  /** Mount options that select it (`subvol=@`), empty for a plain filesystem. */
  options: string;
  /** Names in its top directory. */
  names: string[];
  /** True where its own fstab mounts this very filesystem and subvolume at `/`; a snapshot's fstab names the one it was taken of. */
  isSelfMounted: boolean;
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
  for (const filesystem of filesystems) {
    if (filesystem.type === 'ntfs' && search.windows === null) {
      if (await isWindows(session, filesystem.device)) search.windows = filesystem.device;
      continue;
    }
    if (!ROOT_TYPES.has(filesystem.type)) continue;
    const context = { filesystems, controllers };
    for (const options of await subvolumeOptions(session, filesystem, search)) {
      const root = await lookInside(session, { filesystem, options }, search, context);
      if (root !== null) search.roots.push(root);
    }
  }
  return search;
}

/** Mount options of each tree that may be a root: the filesystem itself, on btrfs its subvolumes too. Empty where it cannot be mounted. */
async function subvolumeOptions(
  session: ApplianceSession,
  { device, type }: Filesystem,
  { unmountable }: RootSearch,
): Promise<string[]> {
  if (type !== 'btrfs') return [''];
  try {
    await session.call('mount_options', 'ro', device, '/');
    const subvolumes = await session.call('btrfs_subvolume_list', '/');
    const paths = subvolumes.map(({ path }) => path).filter((path) => !SNAPSHOT_PATH.test(path));
    return ['', ...paths.map((path) => `subvol=${path}`)];
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
  { filesystem, options }: Pick<Candidate, 'filesystem' | 'options'>,
  { unmountable }: RootSearch,
  context: DeviceContext,
): Promise<Root | null> {
  try {
    await session.call('mount_options', readOnly(options), filesystem.device, '/');
    const names = await session.call('ls', '/');
    return looksLikeRoot(names) ? await describeRoot(session, { filesystem, options, names }, context) : null;
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
  names: string[];
}

/** `candidate` is mounted. */
async function describeRoot(
  session: ApplianceSession,
  { filesystem, options, names }: Candidate,
  context: DeviceContext,
): Promise<Root> {
  const hasFstab = names.includes('etc') && (await session.call('is_file', '/etc/fstab'));
  const fstab = hasFstab ? (await session.call('read_file', '/etc/fstab')).toString('utf8') : '';
  return {
    device: filesystem.device,
    options,
    names,
    isSelfMounted: mountsItself(fstab, { filesystem, options }, context),
  };
}

/** A line for `/` without `subvol=` means the default subvolume, which is what is mounted without options. Pure. */
export function mountsItself(
  fstab: string,
  { filesystem, options }: Pick<Candidate, 'filesystem' | 'options'>,
  context: DeviceContext,
): boolean {
  return fstab.split('\n').some((line) => {
    const [spec = '#', mountpoint, , mountOptions = ''] = line.trim().split(/\s+/);
    if (spec.startsWith('#') || mountpoint !== '/') return false;
    const subvolume = mountOptions
      .split(',')
      .find((option) => option.startsWith('subvol='))
      ?.replace(/^subvol=\/?/, 'subvol=');
    return resolveDevice(spec, context)?.device === filesystem.device && (subvolume ?? '') === options;
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
 * largest. `inspect.no-os` and its kin where there is none.
 */
export function chooseRoot(search: RootSearch, filesystems: readonly Filesystem[]): Root {
  const [first] = [...search.roots].sort(
    (a, b) =>
      Number(b.isSelfMounted) - Number(a.isSelfMounted) ||
      diskOf(a, filesystems) - diskOf(b, filesystems) ||
      sizeOf(b, filesystems) - sizeOf(a, filesystems),
  );
  if (first !== undefined) return first;
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

const find = (root: Root, filesystems: readonly Filesystem[]) =>
  filesystems.find((filesystem) => filesystem.device === root.device);
const diskOf = (root: Root, filesystems: readonly Filesystem[]) => find(root, filesystems)?.disk ?? 0;
const sizeOf = (root: Root, filesystems: readonly Filesystem[]) => find(root, filesystems)?.size ?? 0;
