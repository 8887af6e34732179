import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { GuestReader } from '../../../access/guest-reader.js';
import { refusal, type Warnings } from '../../../access/tolerate.js';
import { Hyper2kvmError } from '../../../errors/error.js';
import type { InitramfsListing } from '../../../guest/initramfs-listing.js';
import { headerVersion } from '../../../guest/kernel-image.js';
import { listInThread } from '../../../guest/list-in-thread.js';
import type { GuestTree } from '../../../guest/tree.js';
import {
  isSigned,
  sectionPath,
  type UnifiedSection,
  unifiedSections,
  withoutNuls,
} from '../../../guest/unified-image.js';
import { unifiedImagePaths } from '../../../guest/unified-image-paths.js';
import type { Kernel } from '../../../model/identity.js';

/** A larger image is not read; real ones stay below 200 MiB. */
const MAX_IMAGE_BYTES = 256 * 1024 * 1024;
const MAX_IMAGES = 100;
const MAX_COMMAND_LINE_BYTES = 64 * 1024;
const MAX_VERSION_BYTES = 256;

export interface UnifiedImage {
  /** Guest path. */
  path: string;
  /** Of the kernel inside; null if the image does not name it. */
  version: string | null;
  signed: boolean;
  /** Null if the boot loader passes it. */
  commandLine: Buffer | null;
  /** Null if the image has none. */
  initramfs: InitramfsListing | null;
}

/**
 * Reads every unified kernel image on the ESP. One that cannot be read is named in `warnings`, because it may
 * be what boots.
 */
export async function readUnifiedImages(
  reader: GuestReader,
  tree: GuestTree,
  { workDirectory, signal, warnings }: { workDirectory: string; signal: AbortSignal; warnings: Warnings },
): Promise<UnifiedImage[]> {
  const images: UnifiedImage[] = [];
  const seen = new Set<string>();
  for (const [index, path] of unifiedImagePaths(tree).entries()) {
    const stat = await reader.stat(path);
    // Two names of the same file: an ESP that is mounted twice, or a link.
    const identity = `${stat?.device}:${stat?.inode}`;
    if (stat !== null && seen.has(identity)) continue;
    seen.add(identity);
    const refused =
      index >= MAX_IMAGES
        ? `more than ${MAX_IMAGES} are there`
        : stat?.type !== 'file'
          ? 'it is not a regular file'
          : stat.size > MAX_IMAGE_BYTES
            ? `it is larger than ${MAX_IMAGE_BYTES} bytes`
            : null;
    const result = refused ?? (await readOne(reader, path, workDirectory, signal));
    if (typeof result !== 'string') images.push(...result);
    // A file under the firmware's default name is most likely a boot loader.
    else if (!isDefaultName(path)) warnings.push(unread(path, result));
  }
  return images;
}

/**
 * Returns no image for a program that holds no kernel (a boot loader under the default name), and the reason
 * for an image that cannot be read.
 */
async function readOne(
  reader: GuestReader,
  path: string,
  workDirectory: string,
  signal: AbortSignal,
): Promise<UnifiedImage[] | string> {
  const copy = join(workDirectory, 'unified-image.part');
  try {
    await reader.download(path, copy);
    return await describe(path, await readFile(copy), signal);
  } catch (error) {
    return error instanceof Hyper2kvmError && error.code === 'guest.unified-image'
      ? error.message
      : refusal(error);
  } finally {
    await rm(copy, { force: true });
  }
}

async function describe(path: string, bytes: Buffer, signal: AbortSignal): Promise<UnifiedImage[] | string> {
  const all = unifiedSections(bytes, bytes.length);
  const sections = new Map<string, UnifiedSection>(all.map((section) => [section.name, section]));
  if (!sections.has('.linux')) return [];
  if (CHANGEABLE.some((name) => all.filter((section) => section.name === name).length > 1))
    return 'it holds several profiles';
  const content = (name: string): Buffer | null => {
    const section = sections.get(name);
    return section === undefined ? null : bytes.subarray(section.offset, section.offset + section.size);
  };
  const commandLine = content('.cmdline');
  if ((commandLine?.length ?? 0) > MAX_COMMAND_LINE_BYTES)
    return `its command line has more than ${MAX_COMMAND_LINE_BYTES} bytes`;
  const initramfs = content('.initrd');
  return [
    {
      path,
      version: versionOf(content('.uname'), content('.linux')),
      signed: isSigned(bytes),
      commandLine: commandLine === null ? null : withoutNuls(commandLine),
      initramfs: initramfs === null ? null : await listInThread(initramfs, signal),
    },
  ];
}

const CHANGEABLE = ['.cmdline', '.initrd'];
const isDefaultName = (path: string) => /\/BOOT\/[^/]+$/i.test(path);

/** Images that dracut before 060 built do not name it. */
function versionOf(uname: Buffer | null, linux: Buffer | null): string | null {
  const text =
    uname === null ? null : withoutNuls(uname.subarray(0, MAX_VERSION_BYTES)).toString('latin1').trim();
  if (text === null) return headerVersion(linux ?? Buffer.alloc(0));
  return /^[\w.+~-]+$/.test(text) ? text : null;
}

/** Returns the tree with each image's command line as a file, which fixers read and change like any other. */
export function withCommandLines(tree: GuestTree, images: readonly UnifiedImage[]): GuestTree {
  const draft = tree.draft();
  for (const { path, commandLine } of images) {
    if (commandLine === null) continue;
    const size = commandLine.length;
    const own = { mode: 0o600, uid: 0, gid: 0, size, content: commandLine };
    draft.put({ path: sectionPath(path, '.cmdline'), type: 'file', ...own });
  }
  return draft;
}

/** Returns the images whose initramfs cannot be given drivers. */
export function withoutKernel(images: readonly UnifiedImage[], kernels: readonly Kernel[]): Warnings {
  return images
    .filter(({ path }) => kernels.every(({ image, modules }) => image !== path || modules === null))
    .map(({ path, version }) =>
      unread(path, `no modules of its kernel (${version ?? 'not named'}) are installed`),
    );
}

function unread(path: string, why: string) {
  const message = `the initramfs in ${path} is not changed: ${why}. It starts on KVM if virtio_blk is in it and its root is found by UUID or GPT type; the boot test shows whether it does`;
  return { fixer: 'inspect', code: 'boot.unified-image', message };
}
