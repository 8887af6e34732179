import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { GuestReader } from '../../../access/guest-reader.js';
import { refusal } from '../../../access/tolerate.js';
import { Hyper2kvmError } from '../../../errors/error.js';
import { bootImages } from '../../../guest/boot-images.js';
import { espMountpoints } from '../../../guest/esp.js';
import {
  DEFAULT_LIMITS,
  describeInitramfs,
  type InitramfsListing,
} from '../../../guest/initramfs-listing.js';
import {
  headerVersion,
  isPackedKernel,
  KERNEL_HEAD_BYTES,
  packedVersion,
} from '../../../guest/kernel-image.js';
import { listInThread } from '../../../guest/list-in-thread.js';
import type { GuestTree } from '../../../guest/tree.js';
import { sectionPath } from '../../../guest/unified-image.js';
import type { Kernel } from '../../../model/identity.js';
import { configNames, driversOfConfig } from './kernel-config.js';
import { imageCandidates, type KernelFiles, kernelFiles } from './kernel-files.js';
import type { UnifiedImage } from './unified-images.js';

/** A larger initramfs is not read; real ones stay below 200 MiB. */
const MAX_INITRAMFS_BYTES = 256 * 1024 * 1024;
/** Limit over all initramfs files together, because their listings are kept until the end. */
const MAX_ENTRIES = 150_000;
/** Distributions keep two to five kernels. */
const MAX_KERNELS = 100;
/** Each kernel has one, and another for each loader that it was copied for. So many images, too. */
const MAX_INITRAMFS = 200;

/**
 * Returns every kernel that the guest can be started with and, by guest path, the listing of its initramfs: the
 * images by the version inside them (kernel-files.ts), each with the modules of that version where there are any.
 * A module directory without an image is left over from a removed kernel. If the kernel is also in a unified
 * image, a copy without its own initramfs is only the input that the image was built from, and is skipped.
 */
export async function readKernels(
  reader: GuestReader,
  tree: GuestTree,
  unified: readonly UnifiedImage[],
  work: { workDirectory: string; signal: AbortSignal },
): Promise<{ kernels: Kernel[]; listings: Record<string, InitramfsListing> }> {
  const kernels: Kernel[] = [];
  const listings: Record<string, InitramfsListing> = {};
  let left = MAX_ENTRIES;
  const modulesRoot = tree.resolve('/lib/modules') ?? '/lib/modules';
  const versions = tree.list(modulesRoot);
  if (versions.length > MAX_KERNELS) throw tooMany(`${MAX_KERNELS} kernels`);
  const boot = bootImages(tree);
  const images = imageCandidates(tree, modulesRoot, boot);
  if (images.length > MAX_INITRAMFS) throw tooMany(`${MAX_INITRAMFS} kernel images`);
  const inside = await imageVersions(reader, images, { ...work, versions });
  for (const files of kernelFiles(tree, modulesRoot, inside, boot)) {
    const { initramfs: path } = files;
    if (path === null && unified.some(({ version }) => version === files.version)) continue;
    if (path !== null && listings[path] === undefined) {
      if (Object.keys(listings).length >= MAX_INITRAMFS) throw tooMany(`${MAX_INITRAMFS} initramfs files`);
      const entries = Math.min(left, DEFAULT_LIMITS.entries);
      const listed = await list(reader, path, work.workDirectory, work.signal, entries);
      listings[path] = listed;
      left -= listed.files.length + listed.directories.length;
    }
    const listing = path === null ? undefined : listings[path];
    const builtin = await builtinDrivers(reader, tree, files);
    kernels.push({ ...files, initramfs: describe(path, listing, files.version), ...builtin });
  }
  for (const { path: image, version, initramfs: listing } of unified) {
    const directory = `${modulesRoot}/${version}`;
    const modules = version !== null && tree.isDirectory(directory) ? directory : null;
    const path = sectionPath(image, '.initrd');
    if (listing !== null) listings[path] = listing;
    const initramfs = describe(path, listing ?? undefined, version ?? '');
    kernels.push({ version: version ?? 'unknown', image, modules, initramfs });
  }
  return { kernels: kernels.sort(byVersion), listings };
}

/** A distribution's has 300 KB. */
const MAX_CONFIG_BYTES = 1024 * 1024;

/** What the configuration of a kernel tells that is without modules, or is started without an initramfs. */
async function builtinDrivers(
  reader: GuestReader,
  tree: GuestTree,
  { version, image, modules, initramfs }: KernelFiles,
): Promise<Pick<Kernel, 'builtin'>> {
  if (modules !== null && initramfs !== null) return {};
  const path = configNames(image, version).flatMap((name) => tree.resolve(name) ?? [])[0];
  const stat = path === undefined ? null : await reader.stat(path);
  if (path === undefined || stat?.type !== 'file' || stat.size > MAX_CONFIG_BYTES) return {};
  try {
    return { builtin: driversOfConfig((await reader.read(path)).toString('latin1')) };
  } catch (error) {
    refusal(error);
    return {};
  }
}

/** As their modules' directories are listed, those without modules last. */
function byVersion(a: Kernel, b: Kernel): number {
  if ((a.modules === null) !== (b.modules === null)) return a.modules === null ? 1 : -1;
  return a.version < b.version ? -1 : a.version > b.version ? 1 : 0;
}

function describe(
  path: string | null,
  listing: InitramfsListing | undefined,
  kernelVersion: string,
): Kernel['initramfs'] {
  return path === null || listing === undefined ? null : describeInitramfs({ path, listing, kernelVersion });
}

/** Such an image is not unpacked to look for its version: real ones stay under 64 MiB. */
const MAX_IMAGE_BYTES = 64 * 1024 * 1024;

/**
 * The version inside each image, null where it does not tell. An image that tells it only in its code, and has an
 * installed version in its name, is not unpacked for that.
 */
async function imageVersions(
  reader: GuestReader,
  images: readonly string[],
  { versions, ...work }: { versions: readonly string[]; workDirectory: string; signal: AbortSignal },
): Promise<Map<string, string | null>> {
  const found = new Map<string, string | null>();
  for (const path of images) {
    work.signal.throwIfAborted();
    const isNamed = versions.some((version) => path.includes(version));
    try {
      found.set(path, await imageVersion(reader, path, isNamed, work.workDirectory));
    } catch (error) {
      refusal(error);
      found.set(path, null);
    }
  }
  return found;
}

async function imageVersion(
  reader: GuestReader,
  path: string,
  isNamed: boolean,
  workDirectory: string,
): Promise<string | null> {
  const stat = await reader.stat(path);
  // A named pipe would keep who reads it waiting.
  if (stat?.type !== 'file') return null;
  const head = await reader.readAt(path, 0, KERNEL_HEAD_BYTES);
  const version = headerVersion(head);
  if (version !== null || isNamed || stat.size > MAX_IMAGE_BYTES || !isPackedKernel(head)) return version;
  const copy = join(workDirectory, 'kernel.part');
  try {
    await reader.download(path, copy);
    return packedVersion(await readFile(copy));
  } finally {
    await rm(copy, { force: true });
  }
}

function tooMany(what: string): Hyper2kvmError {
  return new Hyper2kvmError('inspect.too-many-kernels', `more than ${what} are installed`);
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

const IMAGE_NAME = /^(vmlinu[xz]|bzImage|kernel|Image|linux)/;

/** True if /boot or the ESP has any kernel, including unified images and kernels without modules. */
export function hasKernelImage(tree: GuestTree): boolean {
  return (
    tree.list('/boot').some((name) => IMAGE_NAME.test(name) && !tree.isDirectory(`/boot/${name}`)) ||
    espMountpoints(tree).some((esp) => tree.list(`${esp}/EFI/Linux`).some((name) => name.endsWith('.efi')))
  );
}
