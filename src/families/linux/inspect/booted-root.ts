import type { GuestReader } from '../../../access/guest-reader.js';
import { refusal } from '../../../access/tolerate.js';
import { bootFilesInOrder } from '../../../guest/boot-images.js';
import { bootFiles, mapCommandLines } from '../../../guest/command-line-files.js';
import { type DeviceContext, resolveDevice } from '../../../guest/device-names.js';
import { GuestTree, type TreeEntry } from '../../../guest/tree.js';
import { shortLines } from '../../../text/lines.js';
import { type Root, selects } from './roots.js';

/** Directories with a boot loader's configuration at the top of a separate /boot or an ESP. */
const LOADER_DIRECTORIES = ['grub', 'grub2', 'loader', 'EFI', 'efi', 'extlinux', 'syslinux'];
const TYPES = new Set(['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'vfat', 'f2fs', 'jfs', 'reiserfs']);
/** The loader's fonts, programs and modules. */
const EXCLUDES = ['*.mod', '*.efi', '*.EFI', '*.img', '*.pf2', '*.mo', '*.lst', '*.c32', 'themes', 'fonts'];
/** A larger file is not configuration. */
const MAX_BYTES = 1024 * 1024;
/** Each costs seconds without KVM. */
const MAX_FILESYSTEMS = 16;
const MAX_ENTRIES = 10_000;

/** The configuration of a boot loader, with paths as if it were in /boot. */
interface Loader {
  device: string;
  /** The root that contains it; null for a separate /boot or an ESP. */
  root: Root | null;
  tree: GuestTree;
}

/**
 * Returns the roots with their positions in the order of the boot entries. The configuration outside of the
 * roots (a separate /boot, the ESP) decides, together with that of the root which it leads to. Without any, a
 * root that its own entries start comes first.
 */
export async function markBooted(
  reader: GuestReader,
  roots: readonly Root[],
  context: DeviceContext,
): Promise<Root[]> {
  const loaders: Loader[] = [];
  // Layers of containers look like roots, and there may be hundreds.
  const likely = roots.toSorted((a, b) => Number(b.isSelfMounted) - Number(a.isSelfMounted));
  for (const root of likely.slice(0, MAX_FILESYSTEMS))
    loaders.push({ device: root.device, root, tree: await configuration(reader, root, '/boot') });
  const isRoot = new Set(roots.map(({ device }) => device));
  // Mounting a snapshot would replay its journal into it.
  const others = context.filesystems.filter(
    ({ device, type, snapshot_of }) => TYPES.has(type) && !isRoot.has(device) && snapshot_of === undefined,
  );
  for (const { device } of others.slice(0, MAX_FILESYSTEMS))
    loaders.push({ device, root: null, tree: await configuration(reader, { device, options: '' }, '') });

  const live = loaders.filter(({ root }) => root === null);
  const leads = live.flatMap(({ tree }) => leadsTo(tree, context));
  const followed = loaders.filter(
    ({ root }) => root !== null && leads.some((lead) => isLead(lead, root, roots)),
  );
  const named = [...live, ...followed].flatMap(({ tree }) => namedRoots(tree, roots, context));
  if (named.length > 0)
    return roots.map((root) => (named.includes(root) ? { ...root, booted: named.indexOf(root) } : root));
  const own = new Set(
    loaders.flatMap(({ root, tree }) =>
      root !== null && namedRoots(tree, roots, context)[0] === root ? [root] : [],
    ),
  );
  return roots.map((root) => (own.has(root) ? { ...root, booted: 0 } : root));
}

/** Reads the loader's files in `directory` of a filesystem (`''`: its top). */
async function configuration(
  reader: GuestReader,
  { device, options }: Pick<Root, 'device' | 'options'>,
  directory: '/boot' | '',
): Promise<GuestTree> {
  const entries: TreeEntry[] = [];
  try {
    await reader.mount({ device, mountpoint: '/', options }, 'ro');
    const isThere = directory === '' || (await reader.lstat(directory))?.type === 'directory';
    const names = isThere ? await reader.list(directory || '/') : [];
    for (const name of LOADER_DIRECTORIES.filter((wanted) => names.includes(wanted))) {
      const isKept = (_: string, size: number) => size <= MAX_BYTES;
      const captured = reader.capture({ directory: `${directory}/${name}`, excludes: EXCLUDES, isKept });
      for await (const entry of captured) {
        if (entries.length === MAX_ENTRIES) break;
        entries.push(directory === '' ? { ...entry, path: `/boot${entry.path}` } : entry);
      }
    }
  } catch (error) {
    // It then decides nothing. If the system needs it, INSPECT fails on it later.
    refusal(error);
  } finally {
    await reader.unmountAll();
  }
  return new GuestTree(entries);
}

/** Returns the roots that a loader's entries start, in order and without duplicates. Pure. */
function namedRoots(tree: GuestTree, roots: readonly Root[], context: DeviceContext): Root[] {
  const found = new Set<Root>();
  for (const { path, kind } of bootFilesInOrder(tree))
    mapCommandLines(tree.text(path)?.text ?? '', kind, (args) => {
      const root = startedRoot(args, roots, context);
      if (root !== undefined) found.add(root);
      return args;
    });
  return [...found];
}

function startedRoot(args: string, roots: readonly Root[], context: DeviceContext): Root | undefined {
  const words = args.split(/\s+/);
  const value = (key: string) => words.findLast((word) => word.startsWith(key))?.slice(key.length);
  const device = resolveDevice(value('root=') ?? '', context)?.device;
  const options = value('rootflags=')?.split(',') ?? [];
  return roots.find((root) => root.device === device && selects(options, root));
}

/** The place where GRUB's configuration on an ESP says that the main one is. */
interface Lead {
  device: string;
  /** The directory there, with a btrfs subvolume in front: `/@/boot/grub`. */
  prefix: string;
}

/** Parses `search.fs_uuid UUID root` and `set prefix=($root)'/@/boot/grub'`. */
function leadsTo(tree: GuestTree, context: DeviceContext): Lead[] {
  const files = bootFiles(tree).filter(({ kind }) => kind === 'grub2');
  return files.flatMap(({ path }) => {
    const lines = shortLines(tree.text(path)?.text ?? '').map((line) => line.trim().split(/\s+/));
    const searched = lines.filter(([first]) => first?.startsWith('search')).flat();
    const prefix = lines.flat().findLast((word) => word.startsWith('prefix=')) ?? '';
    const devices = searched.flatMap((word) => resolveDevice(`UUID=${word}`, context)?.device ?? []);
    return devices.map((device) => ({ device, prefix: prefix.replace(/^prefix=(\(\$?\w+\))?|'/g, '') }));
  });
}

/** True if the place is in this root. The prefix distinguishes the subvolumes of a filesystem. */
function isLead({ device, prefix }: Lead, root: Root, roots: readonly Root[]): boolean {
  if (root.device !== device) return false;
  if (roots.filter((other) => other.device === device).length === 1) return true;
  const subvolume = root.options.replace(/^subvol=/, '');
  return prefix.startsWith(subvolume === '' ? '/boot/' : `/${subvolume}/boot/`);
}
