import type { GuestReader } from '../../../access/guest-reader.js';
import { refusal, refusedBy } from '../../../access/tolerate.js';
import { type DeviceContext, filesystemsNamed, resolveDevice } from '../../../guest/device-names.js';
import { parseFstab } from '../../../guest/fstab.js';
import type { Filesystem } from '../../../model/identity.js';
import type { Detection, RootCandidate, Unmountable } from '../../base/inspection.js';
import { type MountEntry, mountOf, UNITS } from './mount-table.js';

export interface Root extends RootCandidate {
  /** Number of the btrfs subvolume that the options name. */
  subvolume?: number;
  /**
   * True if its own fstab mounts this filesystem and subvolume at `/`. The fstab of a snapshot names its
   * origin.
   */
  isSelfMounted: boolean;
  /**
   * The position, from 0, of the first boot entry that starts it; absent if there is none, or if it is the only
   * root.
   */
  booted?: number;
  /**
   * The name that its fstab mounts at `/`, and all filesystems with that name, if there are several and this
   * root is one of them; null otherwise.
   */
  sharesName: { spec: string; devices: string[] } | null;
}

const ROOT_TYPES = new Set(['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'f2fs', 'jfs', 'reiserfs']);
/** Where snapper, timeshift and the like keep read-only copies of a root, which are never what boots. */
const SNAPSHOT_PATH = /(^|\/)(\.snapshots|timeshift-btrfs|snapshots?|@snapshots)(\/|$)/i;

export interface RootSearch {
  roots: Root[];
  unmountable: Detection['unmountable'][number][];
}

/**
 * Searches every filesystem for a Linux root, mounted read-only: a dirty journal is replayed into the
 * overlay, never into the source.
 */
export async function findRoots(
  reader: GuestReader,
  filesystems: readonly Filesystem[],
  controllers: readonly (string | null)[],
): Promise<RootSearch> {
  const search: RootSearch = { roots: [], unmountable: [] };
  const isSnapshot = ({ snapshot_of }: Filesystem) => snapshot_of !== undefined;
  // Mounting a snapshot replays its journal into it, so snapshots are searched only if no other root mounts
  // itself.
  const [first, later] = [filesystems.filter((other) => !isSnapshot(other)), filesystems.filter(isSnapshot)];
  await look(reader, first, search, { filesystems, controllers });
  if (!search.roots.some(({ isSelfMounted, sharesName }) => isSelfMounted || sharesName !== null))
    await look(reader, later, search, { filesystems, controllers });
  return search;
}

async function look(
  reader: GuestReader,
  filesystems: readonly Filesystem[],
  search: RootSearch,
  context: DeviceContext,
): Promise<void> {
  for (const filesystem of filesystems) {
    if (!ROOT_TYPES.has(filesystem.type)) continue;
    for (const subvolume of await subvolumesOf(reader, filesystem, search)) {
      const root = await lookInside(reader, { filesystem, ...subvolume }, search, context);
      if (root !== null) search.roots.push(root);
    }
  }
}

function whyNot(error: unknown): Pick<Unmountable, 'reason' | 'code'> {
  const { message, code } = refusedBy(error);
  return { reason: message, code };
}

/**
 * Returns the mount options of each tree that may be a root: the filesystem itself and, on btrfs, its
 * subvolumes. Empty if it cannot be mounted.
 */
async function subvolumesOf(
  reader: GuestReader,
  { device, disk, type }: Filesystem,
  { unmountable }: RootSearch,
): Promise<Pick<Candidate, 'options' | 'subvolume'>[]> {
  if (type !== 'btrfs') return [{ options: '' }];
  try {
    await reader.mount({ device, mountpoint: '/', options: '' }, 'ro');
    const subvolumes = await reader.subvolumes();
    const live = subvolumes.filter(({ path }) => !SNAPSHOT_PATH.test(path));
    return [{ options: '' }, ...live.map(({ id, path }) => ({ options: `subvol=${path}`, subvolume: id }))];
  } catch (error) {
    unmountable.push({ device, disk, ...whyNot(error) });
    return [];
  } finally {
    await reader.unmountAll();
  }
}

/**
 * Returns the root that is there, or null. What cannot be read is recorded, as another filesystem may have
 * the system.
 */
async function lookInside(
  reader: GuestReader,
  place: Candidate,
  { unmountable }: RootSearch,
  context: DeviceContext,
): Promise<Root | null> {
  const { filesystem, options } = place;
  try {
    await reader.mount({ device: filesystem.device, mountpoint: '/', options }, 'ro');
    return looksLikeRoot(await reader.list('/')) ? await describeRoot(reader, place, context) : null;
  } catch (error) {
    const device = options === '' ? filesystem.device : `${filesystem.device} (${options})`;
    unmountable.push({ device, disk: filesystem.disk, ...whyNot(error) });
    return null;
  } finally {
    await reader.unmountAll();
  }
}

interface Candidate {
  filesystem: Filesystem;
  options: string;
  /** ID of the btrfs subvolume that the options select. */
  subvolume?: number;
}

/** Describes a candidate that is mounted. */
async function describeRoot(
  reader: GuestReader,
  candidate: Candidate,
  context: DeviceContext,
): Promise<Root> {
  const { filesystem, options } = candidate;
  const lines = parseFstab(await readSmall(reader, '/etc/fstab')).filter(isOfRoot);
  const table = lines.length > 0 ? lines : mountOf([await readSmall(reader, ROOT_UNIT)]).filter(isOfRoot);
  return {
    device: filesystem.device,
    options,
    ...(candidate.subvolume === undefined ? {} : { subvolume: candidate.subvolume }),
    isSelfMounted: mountsItself(table, candidate, context),
    sharesName: sharedName(table, filesystem, context),
  };
}

/** A larger one is not in the snapshot either. */
const MAX_FSTAB_BYTES = 1024 * 1024;
/** The mount unit of `/`. */
const ROOT_UNIT = `${UNITS}/-.mount`;

const isOfRoot = ({ mountpoint }: MountEntry) => mountpoint === '/';

/** Empty if it cannot be read: it then decides nothing, and INSPECT warns about it later. */
async function readSmall(reader: GuestReader, path: string): Promise<string> {
  try {
    const stat = await reader.stat(path);
    if (stat?.type !== 'file' || stat.size > MAX_FSTAB_BYTES) return '';
    return (await reader.read(path)).toString('utf8');
  } catch (error) {
    refusal(error);
    return '';
  }
}

/** Returns the name that a root mounts at `/` if it names copies of the root as well as the root. Pure. */
function sharedName(
  table: readonly MountEntry[],
  { device }: Filesystem,
  context: DeviceContext,
): Root['sharesName'] {
  for (const { spec } of table) {
    const devices = filesystemsNamed(spec, context).map((filesystem) => filesystem.device);
    if (devices.length > 1 && devices.includes(device)) return { spec, devices };
  }
  return null;
}

/** True if one of the entries for `/` mounts this filesystem and subvolume. Pure. */
export function mountsItself(
  table: readonly Pick<MountEntry, 'spec' | 'options'>[],
  { filesystem, ...tree }: Candidate,
  context: DeviceContext,
): boolean {
  return table.some(
    ({ spec, options }) =>
      resolveDevice(spec, context)?.device === filesystem.device && selects(options, tree),
  );
}

/** Numbers of the top-level subvolume of btrfs. */
const TOP = new Set([0, 5]);

/**
 * True if mount options select this tree of a filesystem. Without `subvol=` they select the default subvolume,
 * which is what gets mounted without options.
 */
export function selects(
  mountOptions: readonly string[],
  { options, subvolume }: Pick<Candidate, 'options' | 'subvolume'>,
): boolean {
  const path = mountOptions.find((option) => option.startsWith('subvol='))?.replace(/^subvol=\/*|\/+$/g, '');
  if (path !== undefined) return options === (path === '' ? '' : `subvol=${path}`);
  const number = mountOptions.map((option) => /^subvolid=(\d+)$/.exec(option)?.[1]).find(Boolean);
  if (number === undefined || TOP.has(Number(number))) return options === '';
  return Number(number) === subvolume;
}

/** A root has /etc and programs; a /boot or /home has not. */
function looksLikeRoot(names: readonly string[]): boolean {
  const has = (name: string) => names.includes(name);
  return has('etc') && (has('usr') || has('bin')) && (has('sbin') || has('lib') || has('usr'));
}
