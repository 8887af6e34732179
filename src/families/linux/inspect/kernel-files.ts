import { posix } from 'node:path';
import type { BootImage } from '../../../guest/boot-images.js';
import { espMountpoints } from '../../../guest/esp.js';
import type { GuestTree } from '../../../guest/tree.js';

/** A kernel's image with the modules and the initramfs that it is started with. */
export interface KernelFiles {
  /** `unknown` where neither the image nor its name tells it. */
  version: string;
  image: string;
  /** Directory of its modules; null where none are installed for it. */
  modules: string | null;
  initramfs: string | null;
}

/** What INSPECT knows of the images: by real path the version inside, null where the image does not tell. */
export type ImageVersions = ReadonlyMap<string, string | null>;

const IMAGE_NAME = /^(vmlinu[xz]|bzImage|zImage|kernel|Image|linux)/i;
const NO_IMAGE = /memtest|\.(efi|cfg|conf|txt|sig|old_config)$/i;

/**
 * Returns the real paths of everything that may be a kernel: what the boot loaders start, what is in /boot under
 * such a name, and what is in the usual places for the versions in `modulesRoot`. Each once, sorted. Pure.
 */
export function imageCandidates(tree: GuestTree, modulesRoot: string, boot: readonly BootImage[]): string[] {
  const inBoot = tree
    .list('/boot')
    .filter((name) => IMAGE_NAME.test(name) && !NO_IMAGE.test(name))
    .map((name) => `/boot/${name}`);
  const entries = entryDirectories(tree);
  const versions = tree.list(modulesRoot);
  const ofVersions = versions.flatMap((version) =>
    namesOf({ tree, entries }, version, `${modulesRoot}/${version}`),
  );
  const copies = versions.flatMap((version) => (entries.get(version) ?? []).flatMap(imagesIn));
  const named = [...inBoot, ...ofVersions, ...copies].flatMap((path) => firstFile(tree, [path]) ?? []);
  return [...new Set([...boot.map(({ image }) => image), ...named])].sort();
}

/**
 * Returns every kernel that can be started: the images by the version inside them, or by their name if they do not
 * tell it, each with the initramfs that its boot entry, its preset or its name gives. An image under several names
 * is one kernel; a copy with the same initramfs, or one that nothing starts, is not another. A copy beside the boot
 * loader with its own initramfs is, and so is what it was copied from. Pure.
 */
export function kernelFiles(
  tree: GuestTree,
  modulesRoot: string,
  images: ImageVersions,
  boot: readonly BootImage[],
): KernelFiles[] {
  const entries = entryDirectories(tree);
  const guest = { tree, entries, images, boot, started: new Set<string>() };
  for (const { image, isStarted } of boot) if (isStarted) guest.started.add(image);
  const versions = tree.list(modulesRoot).filter((name) => tree.isDirectory(`${modulesRoot}/${name}`));
  const found = versions.flatMap((version) => ofVersion(guest, version, `${modulesRoot}/${version}`));
  const taken = new Set(found.flatMap(({ version, image }) => [image, `${version} `]));
  const others = [...images].filter(
    ([image, version]) => !taken.has(image) && (version === null || !taken.has(`${version} `)),
  );
  const named = others.filter(
    ([image, version]) =>
      guest.started.has(image) && (version !== null || IMAGE_NAME.test(posix.basename(image))),
  );
  const rest = found.length > 0 ? named : named.length > 0 ? named : others.filter(([path]) => isImage(path));
  return [...found, ...rest.map(([image, version]) => withoutModules(guest, image, version))];
}

const isImage = (path: string) => IMAGE_NAME.test(posix.basename(path));

interface Places {
  tree: GuestTree;
  entries: EntryDirectories;
}

interface Images extends Places {
  images: ImageVersions;
  boot: readonly BootImage[];
  /** Images that an entry of a boot loader starts. */
  started: Set<string>;
}

function ofVersion(guest: Images, version: string, modules: string): KernelFiles[] {
  const { tree, entries, images, started } = guest;
  const names = namesOf(guest, version, modules).flatMap((path) => firstFile(tree, [path]) ?? []);
  const isOwn = (image: string) => images.get(image) === version;
  const byName = names.find((image) => images.get(image) === null);
  const own = [...images.keys()].filter(isOwn);
  const copies = (entries.get(version) ?? []).flatMap((place) =>
    initramfsIn(tree, place).length === 0 ? [] : (firstFile(tree, imagesIn(place)) ?? []),
  );
  const candidates = [
    ...names.filter(isOwn),
    ...(own.length > 0 || byName === undefined ? [] : [byName]),
    ...own.filter((image) => started.has(image)),
    ...copies.filter((image) => isOwn(image) || images.get(image) === null),
    ...own,
  ];
  const unique = [...new Set(candidates)];
  const anyStarted = unique.some((image) => started.has(image));
  // kernel-install copies the original to the ESP again when the loader is updated.
  const original = copies.some((image) => started.has(image)) ? candidates[0] : undefined;
  const kernels: KernelFiles[] = [];
  for (const image of unique) {
    const isWanted = anyStarted ? started.has(image) : kernels.length === 0;
    if (!isWanted && image !== original && !copies.includes(image)) continue;
    for (const initramfs of initramfsFilesOf(guest, image, { version, modules })) {
      if (kernels.some((kernel) => kernel.initramfs === initramfs)) continue;
      if (kernels.length > 0 && initramfs === null && !started.has(image)) continue;
      kernels.push({ version, image, modules, initramfs });
    }
  }
  return kernels;
}

function withoutModules(guest: Images, image: string, version: string | null): KernelFiles {
  const name = version ?? (stemOf(image) || 'unknown');
  const [initramfs = null] = initramfsFilesOf(guest, image, { version: name, modules: null });
  return { version: name, image, modules: null, initramfs };
}

/**
 * Returns every initramfs that the image is started with: an entry may have another one than the first (Arch's
 * fallback), and which of them systemd-boot starts by itself is not known.
 */
function initramfsFilesOf(
  guest: Images,
  image: string,
  kernel: { version: string; modules: string | null },
): (string | null)[] {
  const others = guest.boot.flatMap((entry) =>
    entry.image === image && entry.isStarted && typeof entry.initramfs === 'string' ? [entry.initramfs] : [],
  );
  return [...new Set([initramfsOf(guest, image, kernel), ...others])];
}

/** Returns the initramfs of the entry that starts the image, else of its preset, else the one of its name. */
function initramfsOf(
  { tree, entries, boot }: Images,
  image: string,
  { version, modules }: { version: string; modules: string | null },
): string | null {
  const named = boot.filter((entry) => entry.image === image && entry.initramfs !== undefined);
  const [entry] = named.toSorted((a, b) => Number(b.isStarted) - Number(a.isStarted));
  if (typeof entry?.initramfs === 'string') return entry.initramfs;
  if (entry?.initramfs === null && mayStartAlone(tree, modules)) return null;
  const directory = posix.dirname(image);
  const places = entries.get(version) ?? [];
  const beside = places.includes(directory) ? initramfsIn(tree, directory) : [];
  const stem = stemOf(image);
  return firstFile(tree, [
    ...beside,
    ...initramfsNames('/boot', version),
    ...flavours(tree, version, modules).flatMap((flavour) => initramfsNames('/boot', flavour)),
    ...(stem === '' ? [] : initramfsNames(directory, stem)),
    ...places.flatMap((place) => initramfsIn(tree, place)),
    ...(modules === null ? [] : [`${modules}/initramfs.img`, `${modules}/initrd`]),
  ]);
}

/** Drivers of disks as a kernel is built with them that mounts its root itself. */
const DISK_DRIVER = /\/(sd_mod|nvme|virtio_blk|xen-blkfront|ide-disk|ide-gd_mod|mmc_block)\.ko$/m;

/**
 * False if all drivers of disks are modules: then an entry without an initramfs does not tell everything (GRUB 2
 * can take the initramfs from a variable or another file).
 */
function mayStartAlone(tree: GuestTree, modules: string | null): boolean {
  const builtin = modules === null ? null : tree.text(`${modules}/modules.builtin`);
  return builtin === null || DISK_DRIVER.test(builtin.text);
}

/** Returns the part of a kernel's name that tells it from others: `linux-lts` of `vmlinuz-linux-lts`. */
const stemOf = (image: string): string =>
  /^(?:vmlinu[xz]|bzImage|zImage|kernel|Image|linux)-(.+?)(?:\.gz)?$/i.exec(posix.basename(image))?.[1] ?? '';

const initramfsNames = (directory: string, name: string): string[] =>
  [
    `initrd.img-${name}`,
    `initramfs-${name}.img`,
    `initrd-${name}`,
    `initrd-${name}.img`,
    `initramfs-${name}`,
    `initrd-${name}.gz`,
  ].map((file) => `${directory}/${file}`);

/**
 * `/boot/vmlinuz-<version>`; Arch and Alpine name by flavour, Fedora keeps one beside the modules,
 * systemd-boot in a directory of the entry's.
 */
function namesOf({ tree, entries }: Places, version: string, modules: string): string[] {
  return [
    `/boot/vmlinuz-${version}`,
    `/boot/vmlinux-${version}`,
    `/boot/vmlinux-${version}.gz`,
    `/boot/kernel-${version}`,
    `/boot/Image-${version}`,
    ...flavours(tree, version, modules).map((flavour) => `/boot/vmlinuz-${flavour}`),
    ...(entries.get(version) ?? []).map((directory) => `${directory}/linux`),
    `${modules}/vmlinuz`,
  ];
}

const imagesIn = (directory: string): string[] => [`${directory}/linux`, `${directory}/vmlinuz`];

/** `initrd` first, then Debian's `initrd.img-<version>` and the like. */
function initramfsIn(tree: GuestTree, entry: string): string[] {
  return tree
    .list(entry)
    .filter((name) => /^(initrd|initramfs)/.test(name))
    .map((name) => `${entry}/${name}`);
}

/** Arch's `pkgbase` (`linux-lts`), Alpine's suffix (`6.6.1-0-lts` → `lts`). */
function flavours(tree: GuestTree, version: string, modules: string | null): string[] {
  const pkgbase = modules === null ? undefined : tree.text(`${modules}/pkgbase`)?.text.trim();
  const suffix = version.match(/-([a-z]+)$/)?.[1];
  return [pkgbase, suffix].filter((flavour) => flavour !== undefined && flavour !== '') as string[];
}

/** Names in /boot, and in each directory there, that are looked at. */
const MAX_TOKENS = 1000;

/** By kernel version. */
type EntryDirectories = ReadonlyMap<string, readonly string[]>;

/** The Boot Loader Specification's type 1 places: `<boot>/<machine or token>/<version>/`. */
function entryDirectories(tree: GuestTree): EntryDirectories {
  const found = new Map<string, string[]>();
  for (const boot of espMountpoints(tree))
    for (const token of tree.list(boot).slice(0, MAX_TOKENS))
      for (const version of tree.list(`${boot}/${token}`).slice(0, MAX_TOKENS)) {
        const directory = `${boot}/${token}/${version}`;
        if (!tree.isDirectory(directory)) continue;
        const known = found.get(version);
        if (known === undefined) found.set(version, [directory]);
        else known.push(directory);
      }
  return found;
}

function firstFile(tree: GuestTree, candidates: readonly string[]): string | null {
  for (const candidate of candidates) {
    const real = tree.resolve(candidate);
    if (real !== null && !tree.isDirectory(real)) return real;
  }
  return null;
}
