import type { GuestReader } from '../../../access/guest-reader.js';
import { refusal, refusedBy } from '../../../access/tolerate.js';
import { type DeviceContext, filesystemsNamed, resolveDevice } from '../../../guest/device-names.js';
import { parseFstab } from '../../../guest/fstab.js';
import type { Filesystem } from '../../../model/identity.js';
import type { Detection, RootCandidate, Unmountable } from '../../base/inspection.js';
import { type MountEntry, mountOf, UNITS } from '../mount-table.js';

export interface Root extends RootCandidate {
  /** Number of the btrfs subvolume that the options name. */
  subvolume?: number;
  /**
   * True where its own fstab mounts this very filesystem and subvolume at `/`; a snapshot's fstab names the
   * one it was taken of.
   */
  isSelfMounted: boolean;
  /**
   * Place in the order of the boot entries that name it, from 0; absent where none does, or where it is the
   * only root.
   */
  booted?: number;
  /**
   * What its fstab mounts at `/`, and the copies that have the same name where this root is one of them;
   * empty where it is the only one.
   */
  sharesName: { spec: string; devices: string[] } | null;
}

const ROOT_TYPES = new Set(['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'f2fs', 'jfs', 'reiserfs']);
/** Where snapper, timeshift and the like keep read-only copies of a root: never the system that boots. */
const SNAPSHOT_PATH = /(^|\/)(\.snapshots|timeshift-btrfs|snapshots?|@snapshots)(\/|$)/i;

export interface RootSearch {
  roots: Root[];
  unmountable: Detection['unmountable'][number][];
}

/**
 * Looks at every filesystem for a Linux root. Mounted read-only: a dirty journal is replayed into the
 * overlay, never into the source.
 */
export async function findRoots(
  reader: GuestReader,
  filesystems: readonly Filesystem[],
  controllers: readonly (string | null)[],
): Promise<RootSearch> {
  const search: RootSearch = { roots: [], unmountable: [] };
  const isSnapshot = ({ snapshot_of }: Filesystem) => snapshot_of !== undefined;
  // Mounting one replays its journal into it: only where nothing else mounts itself.
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
 * Mount options of each tree that may be a root: the filesystem itself, on btrfs its subvolumes too. Empty
 * where it cannot be mounted.
 */
async function subvolumesOf(
  reader: GuestReader,
  { device, type }: Filesystem,
  { unmountable }: RootSearch,
): Promise<Pick<Candidate, 'options' | 'subvolume'>[]> {
  if (type !== 'btrfs') return [{ options: '' }];
  try {
    await reader.mount({ device, mountpoint: '/', options: '' }, 'ro');
    const subvolumes = await reader.subvolumes();
    const live = subvolumes.filter(({ path }) => !SNAPSHOT_PATH.test(path));
    return [{ options: '' }, ...live.map(({ id, path }) => ({ options: `subvol=${path}`, subvolume: id }))];
  } catch (error) {
    unmountable.push({ device, ...whyNot(error) });
    return [];
  } finally {
    await reader.unmountAll();
  }
}

/** The root that is there, or null. What cannot be read is noted: another filesystem may have the system. */
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
    unmountable.push({ device, ...whyNot(error) });
    return null;
  } finally {
    await reader.unmountAll();
  }
}

interface Candidate {
  filesystem: Filesystem;
  options: string;
  /** Number of the btrfs subvolume that the options name. */
  subvolume?: number;
}

/** `candidate` is mounted. */
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

/** Empty where it cannot be read: then it tells nothing, and INSPECT warns of it later. */
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

/** The name that a root mounts itself by, where it means copies of the root as well as the root. Pure. */
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

/** True where one of the entries, which are for `/`, is this filesystem and subvolume. Pure. */
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

/** btrfs' number of the top of all subvolumes, which `0` means too. */
const TOP = new Set([0, 5]);

/**
 * True where mount options mean this tree of a filesystem. Without `subvol=` they mean the default subvolume,
 * which is what is mounted without options.
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

/** A root has /etc and programs; /boot or /home alone have not. */
function looksLikeRoot(names: readonly string[]): boolean {
  const has = (name: string) => names.includes(name);
  return has('etc') && (has('usr') || has('bin')) && (has('sbin') || has('lib') || has('usr'));
}
