import { posix } from 'node:path';
import { shortLines } from '../text/lines.js';
import { type BootFile, type BootFileKind, bootFiles, isByHand } from './command-line-files.js';
import { espMountpoints } from './esp.js';
import type { GuestTree } from './tree.js';

/** A kernel as a boot loader's entry or mkinitcpio's preset names it. */
export interface BootImage {
  /** The image's real path in the guest. */
  image: string;
  /** Its initramfs; null where it is started without one, undefined where that cannot be told. */
  initramfs: string | null | undefined;
  /** Started by an entry; false for what is only made by mkinitcpio. */
  isStarted: boolean;
}

/** A boot loader's entry, and where its file names what it starts. */
export interface BootEntry extends BootImage {
  file: BootFile;
  /** Number of the line with the image, and of those with the initramfs, from 0. */
  imageLine: number;
  initramfsLines: number[];
}

/** What the lines of an entry say. */
interface Lines {
  begin: RegExp;
  image: RegExp;
  initramfs: RegExp;
}

const GRUB: Lines = {
  begin: /^\s*(?:menuentry|submenu)\s/,
  image: /^\s*(?:linux(?:16|efi)?|module2?)\s+(?:--\S+\s+)*(\S+)/,
  initramfs: /^\s*(?:initrd(?:16|efi)?|module2?)\s+(.*)$/,
};
const LILO: Lines = {
  begin: /^\s*image\s*=/,
  image: /^\s*image\s*=\s*"?([^\s"]+)/,
  initramfs: /^\s*initrd\s*=\s*"?([^\s"]+)/,
};
const SYNTAX: Partial<Record<BootFileKind, Lines>> = {
  grub2: GRUB,
  'grub-legacy': {
    begin: /^\s*title\s/i,
    image: /^\s*(?:kernel|module)\s+(?:--\S+\s+)*(\S+)/,
    initramfs: /^\s*(?:initrd|module)\s+(.*)$/,
  },
  bls: { begin: /^$(?!)/, image: /^\s*linux\s+(\S+)/, initramfs: /^\s*initrd\s+(.*)$/ },
  extlinux: {
    begin: /^\s*label\s/i,
    image: /^\s*(?:kernel|linux)\s+(\S+)/i,
    initramfs: /^\s*(?:initrd\s+(.*)$|append\s(?:.*\s)?initrd=(\S+))/i,
  },
  lilo: LILO,
  elilo: LILO,
};
/** Kinds of one entry's lines in any order, whose paths are on the file system of the file itself. */
const ANY_ORDER: ReadonlySet<BootFileKind> = new Set(['bls', 'extlinux']);
/** An initramfs by its name; microcode comes before it in a list. */
const INITRAMFS_NAME = /initr|\binit\b|initfs/i;
const MICROCODE = /ucode|microcode/i;
const NOT_LINUX = /memtest|ipxe|\/xen|\.c32$/i;
/** Of all files together: more entries tell nothing more. */
const MAX_IMAGES = 400;

/**
 * Returns every kernel that the boot loaders' files start, in their order, followed by those of mkinitcpio's
 * presets. A path that leads to no file is left out. Pure.
 */
export function bootImages(tree: GuestTree): BootImage[] {
  const started = bootEntries(tree).map(({ image, initramfs, isStarted }) => ({
    image,
    initramfs,
    isStarted,
  }));
  return [...started, ...presetImages(tree)].slice(0, MAX_IMAGES);
}

/** Returns every entry of the boot loaders' files that starts a kernel, in their order. Pure. */
const bootEntries = (tree: GuestTree): BootEntry[] =>
  writtenEntries(tree).filter(({ image }) => image !== '');

/** Like `bootEntries`, with those whose kernel is not there: their `image` is empty. Pure. */
export function writtenEntries(tree: GuestTree): BootEntry[] {
  const mountpoints = espMountpoints(tree);
  return bootFilesInOrder(tree).flatMap((file) => {
    const syntax = SYNTAX[file.kind];
    return syntax === undefined ? [] : readEntries(tree, file, syntax, mountpoints);
  });
}

/**
 * Returns a line of an entry with other files for those that it names: `change` gets each name as it is written. Names of
 * microcode stay.
 */
export function mapNamesOnLine(
  line: string,
  { kind }: BootFile,
  change: (name: string, part: 'image' | 'initramfs') => string,
): string {
  const syntax = SYNTAX[kind];
  if (syntax === undefined) return line;
  const list = syntax.initramfs
    .exec(line)
    ?.slice(1)
    .find((text) => text !== undefined);
  const image = syntax.image.exec(line)?.[1];
  if (image !== undefined && (list === undefined || !INITRAMFS_NAME.test(list)))
    return replaceLast(line, image, change(image, 'image'));
  if (list === undefined) return line;
  const names = list.replace(/(?:\([^()]*\))?[^\s,()]+/g, (name) =>
    name.startsWith('-') || MICROCODE.test(name) ? name : change(name, 'initramfs'),
  );
  return replaceLast(line, list, names);
}

function replaceLast(line: string, part: string, other: string): string {
  const start = line.lastIndexOf(part);
  return line.slice(0, start) + other + line.slice(start + part.length);
}

/** Returns the files of `bootFiles` in the order in which their entries are started. */
export const bootFilesInOrder = (tree: GuestTree): BootFile[] => bootFiles(tree).sort(inOrder);

/**
 * GRUB's own entries come before those by hand. Entries of the Boot Loader Specification are sorted by version, the
 * newest first; Fedora's rescue kernel (`…-0-rescue`) is the last.
 */
function inOrder(a: BootFile, b: BootFile): number {
  const byHand = Number(isByHand(a)) - Number(isByHand(b));
  if (byHand !== 0 || a.kind !== 'bls' || b.kind !== 'bls') return byHand;
  return b.path.localeCompare(a.path, 'en', { numeric: true });
}

/** An entry that is being read; `image` is null until its line comes. */
interface OpenEntry {
  image: string | null;
  initrds: string[];
  imageLine: number;
  initramfsLines: number[];
}

const emptyEntry = (): OpenEntry => ({ image: null, initrds: [], imageLine: 0, initramfsLines: [] });

function readEntries(
  tree: GuestTree,
  file: BootFile,
  { begin, image, initramfs }: Lines,
  mountpoints: readonly string[],
): BootEntry[] {
  const found: BootEntry[] = [];
  const places = placesOf(file, mountpoints);
  let open = emptyEntry();
  const close = () => {
    const { image: path, initrds, imageLine, initramfsLines } = open;
    // A name with a variable may lead to any kernel.
    if (path !== null && !path.includes('$') && found.length < MAX_IMAGES)
      found.push({ ...entryOf(tree, places, { image: path, initrds }), file, imageLine, initramfsLines });
    open = emptyEntry();
  };
  for (const [index, line] of shortLines(tree.text(file.path)?.text ?? '').entries()) {
    if (begin.test(line)) close();
    const list = initramfs
      .exec(line)
      ?.slice(1)
      .find((text) => text !== undefined);
    const isFirst = open.image === null && !ANY_ORDER.has(file.kind);
    if (!isFirst && list !== undefined && (!/^\s*module/.test(line) || INITRAMFS_NAME.test(list))) {
      open.initrds.push(...namesIn(list));
      open.initramfsLines.push(index);
      continue;
    }
    const path = image.exec(line)?.[1];
    if (path === undefined || NOT_LINUX.test(path)) continue;
    if (open.image !== null) close();
    open.image = path;
    open.imageLine = index;
  }
  close();
  return found;
}

/** Returns the files of a list, without devices and options. */
function namesIn(list: string): string[] {
  return list
    .replace(/\([^()]*\)/g, '')
    .split(/[\s,]+/)
    .filter((name) => name !== '' && !name.startsWith('-'));
}

/** What a boot loader looks in for the files that it is told: its own directory, then where file systems are. */
interface Places {
  directory: string;
  mountpoints: readonly string[];
}

/**
 * Returns where a loader's names are looked for. systemd-boot and syslinux read the file system that their own
 * file is on; GRUB reads any.
 */
function placesOf({ path, kind }: BootFile, esps: readonly string[]): Places {
  const own = esps
    .filter((esp) => esp !== '/' && path.startsWith(`${esp}/`))
    .sort((a, b) => b.length - a.length)
    .slice(0, 1);
  const first = ANY_ORDER.has(kind) ? own : [];
  return { directory: posix.dirname(path), mountpoints: [...new Set([...first, '/boot', '', ...esps])] };
}

function entryOf(
  tree: GuestTree,
  places: Places,
  { image, initrds }: { image: string; initrds: readonly string[] },
): BootImage {
  const initramfs = initrds.filter((name) => !MICROCODE.test(name)).at(-1);
  return {
    image: findBootFile(tree, places, image) ?? '',
    initramfs:
      initrds.length === 0
        ? null
        : initramfs === undefined
          ? undefined
          : (findBootFile(tree, places, initramfs) ?? undefined),
    isStarted: true,
  };
}

/** A btrfs subvolume stands before the path (`/@/boot/vmlinuz`). */
const MAX_STRIPPED = 3;

/**
 * Returns the real path of what a boot loader's file names: from the root of the file system that it reads, which
 * may be mounted anywhere, or from its own directory. Null if nothing is there, or if the name has a variable.
 */
function findBootFile(tree: GuestTree, places: Places, name: string): string | null {
  const path = name.replace(/^\([^)]*\)/, '').replace(/^["']|["']$/g, '');
  if (path === '' || path.includes('$')) return null;
  if (!path.startsWith('/')) return realFile(tree, posix.join(places.directory, path));
  const parts = path.split('/').filter((part) => part !== '');
  for (let strip = 0; strip <= MAX_STRIPPED && strip < parts.length; strip++)
    for (const mountpoint of places.mountpoints) {
      const real = realFile(tree, `${mountpoint}/${parts.slice(strip).join('/')}`);
      if (real !== null) return real;
    }
  return null;
}

function realFile(tree: GuestTree, path: string): string | null {
  const real = tree.resolve(path);
  return real === null || tree.isDirectory(real) ? null : real;
}

const PRESETS = '/etc/mkinitcpio.d';

/** mkinitcpio's presets: `ALL_kver` is an image (or a version), `default_image` what is made for it. */
function presetImages(tree: GuestTree): BootImage[] {
  const names = tree.list(PRESETS).filter((name) => name.endsWith('.preset'));
  return names.flatMap((name) => {
    const lines = shortLines(tree.text(`${PRESETS}/${name}`)?.text ?? '');
    const value = (key: string) =>
      lines.map((line) => new RegExp(`^\\s*${key}=["']?([^"'\\s#]+)`).exec(line)?.[1]).find(Boolean);
    const image = realFile(tree, value('(?:ALL|default)_kver') ?? '');
    const initramfs = value('(?:default|ALL)_image');
    if (image === null) return [];
    const made = initramfs === undefined ? undefined : (realFile(tree, initramfs) ?? undefined);
    return [{ image, initramfs: made, isStarted: false }];
  });
}
