import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { GuestReader } from '../../../access/guest-reader.js';
import { refusal } from '../../../access/tolerate.js';
import { Hyper2kvmError } from '../../../errors/error.js';
import { espMountpoints } from '../../../guest/esp.js';
import {
  DEFAULT_LIMITS,
  describeInitramfs,
  type InitramfsListing,
} from '../../../guest/initramfs-listing.js';
import { listInThread } from '../../../guest/list-in-thread.js';
import type { GuestTree } from '../../../guest/tree.js';
import { sectionPath } from '../../../guest/unified-image.js';
import type { Kernel } from '../../../model/identity.js';
import type { UnifiedImage } from './unified-images.js';

/** A larger initramfs is not read; real ones stay below 200 MiB. */
const MAX_INITRAMFS_BYTES = 256 * 1024 * 1024;
/** Limit over all initramfs files together, because their listings are kept until the end. */
const MAX_ENTRIES = 150_000;
/** Distributions keep two to five kernels. */
const MAX_KERNELS = 100;
/** Each kernel has one, and another for each loader that it was copied for. */
const MAX_INITRAMFS = 200;

/**
 * Returns every installed kernel and, by guest path, the listing of its initramfs. A kernel is a directory of
 * modules with a matching image; a module directory without one is left over from a removed kernel. If the
 * kernel is also in a unified image, a copy without its own initramfs is only the input that the image was
 * built from, and is skipped.
 */
export async function readKernels(
  reader: GuestReader,
  tree: GuestTree,
  unified: readonly UnifiedImage[],
  { workDirectory, signal }: { workDirectory: string; signal: AbortSignal },
): Promise<{ kernels: Kernel[]; listings: Record<string, InitramfsListing> }> {
  const kernels: Kernel[] = [];
  const listings: Record<string, InitramfsListing> = {};
  let left = MAX_ENTRIES;
  const modulesRoot = tree.resolve('/lib/modules') ?? '/lib/modules';
  const versions = tree.list(modulesRoot);
  if (versions.length > MAX_KERNELS) throw tooMany(`${MAX_KERNELS} kernels`);
  for (const version of versions) {
    const modules = `${modulesRoot}/${version}`;
    if (!tree.isDirectory(modules)) continue;
    const images = unified.filter((image) => image.version === version);
    for (const { image, initramfs: path } of kernelFiles(tree, version, modules)) {
      if (path === null && images.length > 0) continue;
      if (path !== null && listings[path] === undefined) {
        if (Object.keys(listings).length >= MAX_INITRAMFS) throw tooMany(`${MAX_INITRAMFS} initramfs files`);
        const listed = await list(
          reader,
          path,
          workDirectory,
          signal,
          Math.min(left, DEFAULT_LIMITS.entries),
        );
        listings[path] = listed;
        left -= listed.files.length + listed.directories.length;
      }
      const listing = path === null ? undefined : listings[path];
      kernels.push({
        version,
        image,
        modules,
        initramfs:
          path === null || listing === undefined
            ? null
            : describeInitramfs({ path, listing, kernelVersion: version }),
      });
    }
    for (const { path: image, initramfs: listing } of images) {
      const path = sectionPath(image, '.initrd');
      if (listing !== null) listings[path] = listing;
      const initramfs =
        listing === null ? null : describeInitramfs({ path, listing, kernelVersion: version });
      kernels.push({ version, image, modules, initramfs });
    }
  }
  return { kernels, listings };
}

function tooMany(what: string): Hyper2kvmError {
  return new Hyper2kvmError('inspect.too-many-kernels', `more than ${what} are installed`, {
    advice:
      'Each initramfs is read and fixed, and no system needs that many: remove old kernels in the guest, and their copies on the ESP.',
  });
}

async function list(
  reader: GuestReader,
  path: string,
  workDirectory: string,
  signal: AbortSignal,
  entries: number,
): Promise<InitramfsListing> {
  const stat = await reader.stat(path);
  const size = stat?.size ?? 0;
  const unread = (unreadable: string) => {
    return { size, segments: [], files: [], directories: [], links: {}, texts: {}, unreadable };
  };
  // A device node has size 0, and reading /dev/zero would fill the host's disk.
  if (stat?.type !== 'file') return unread('not a regular file');
  if (size > MAX_INITRAMFS_BYTES) return unread(`larger than ${MAX_INITRAMFS_BYTES} bytes`);
  const copy = join(workDirectory, 'initramfs.part');
  try {
    await reader.download(path, copy);
  } catch (error) {
    return unread(refusal(error));
  }
  try {
    return await listInThread(copy, signal, { ...DEFAULT_LIMITS, entries });
  } finally {
    await rm(copy, { force: true });
  }
}

/**
 * Returns the places that a kernel is booted from: its own in /boot, and each copy that kernel-install made
 * for a loader that reads only the ESP. A copy has its own initramfs, and that one boots. Pure.
 */
export function kernelFiles(
  tree: GuestTree,
  version: string,
  modules: string,
): { image: string; initramfs: string | null }[] {
  const image = findImage(tree, version, modules);
  if (image === null) return [];
  const own = { image, initramfs: findInitramfs(tree, version, modules) };
  const copies = entryDirectories(tree, version).flatMap((directory) => {
    const copy = firstFile(tree, [`${directory}/linux`, `${directory}/vmlinuz`]);
    const initramfs = firstFile(tree, initramfsIn(tree, directory));
    return copy === null || initramfs === null || initramfs === own.initramfs
      ? []
      : [{ image: copy, initramfs }];
  });
  return [own, ...copies];
}

const IMAGE_NAME = /^(vmlinu[xz]|bzImage|kernel|Image|linux)/;

/** True if /boot or the ESP has any kernel, including unified images and kernels without modules. */
export function hasKernelImage(tree: GuestTree): boolean {
  return (
    tree.list('/boot').some((name) => IMAGE_NAME.test(name) && !tree.isDirectory(`/boot/${name}`)) ||
    espMountpoints(tree).some((esp) => tree.list(`${esp}/EFI/Linux`).some((name) => name.endsWith('.efi')))
  );
}

/**
 * Returns a kernel's image: `/boot/vmlinuz-<version>`. Arch and Alpine name it by flavour, Fedora keeps one
 * beside the modules, and systemd-boot has a directory for each entry.
 */
function findImage(tree: GuestTree, version: string, modules: string): string | null {
  return firstFile(tree, [
    `/boot/vmlinuz-${version}`,
    `/boot/vmlinux-${version}`,
    `/boot/vmlinux-${version}.gz`,
    `/boot/kernel-${version}`,
    `/boot/Image-${version}`,
    ...flavours(tree, version, modules).map((flavour) => `/boot/vmlinuz-${flavour}`),
    ...entryDirectories(tree, version).map((directory) => `${directory}/linux`),
    `${modules}/vmlinuz`,
  ]);
}

function findInitramfs(tree: GuestTree, version: string, modules: string): string | null {
  return firstFile(tree, [
    `/boot/initrd.img-${version}`,
    `/boot/initramfs-${version}.img`,
    `/boot/initrd-${version}`,
    `/boot/initrd-${version}.img`,
    `/boot/initramfs-${version}`,
    ...flavours(tree, version, modules).flatMap((flavour) => [
      `/boot/initramfs-${flavour}.img`,
      `/boot/initramfs-${flavour}`,
      `/boot/initrd-${flavour}`,
    ]),
    ...entryDirectories(tree, version).flatMap((entry) => initramfsIn(tree, entry)),
    `${modules}/initramfs.img`,
    `${modules}/initrd`,
  ]);
}

/**
 * Returns the initramfs files of an entry: `initrd` first, then Debian's `initrd.img-<version>` and the like.
 */
function initramfsIn(tree: GuestTree, entry: string): string[] {
  return tree
    .list(entry)
    .filter((name) => /^(initrd|initramfs)/.test(name))
    .map((name) => `${entry}/${name}`);
}

/**
 * Returns the names that stand for a kernel: Arch's `pkgbase` (`linux-lts`), Alpine's suffix (`6.6.1-0-lts` →
 * `lts`).
 */
function flavours(tree: GuestTree, version: string, modules: string): string[] {
  const pkgbase = tree.text(`${modules}/pkgbase`)?.text.trim();
  const suffix = version.match(/-([a-z]+)$/)?.[1];
  return [pkgbase, suffix].filter((flavour) => flavour !== undefined && flavour !== '') as string[];
}

/** Limit on the names in /boot that are tried for each kernel. */
const MAX_TOKENS = 1000;

/** Returns the directories of Boot Loader Specification type 1: `<boot>/<machine or token>/<version>/`. */
function entryDirectories(tree: GuestTree, version: string): string[] {
  return espMountpoints(tree).flatMap((boot) =>
    tree
      .list(boot)
      .slice(0, MAX_TOKENS)
      .map((token) => `${boot}/${token}/${version}`)
      .filter((directory) => tree.isDirectory(directory)),
  );
}

function firstFile(tree: GuestTree, candidates: readonly string[]): string | null {
  for (const candidate of candidates) {
    const real = tree.resolve(candidate);
    if (real !== null && !tree.isDirectory(real)) return real;
  }
  return null;
}
