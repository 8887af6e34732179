import { copyFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cached } from './cache.ts';
import { readSshHostKey } from './cloud-init.ts';
import { guestFiles } from './guest-files.ts';
import { makeDisks } from './image.ts';
import { hexFrom, layOut } from './layout.ts';
import type { GuestRecipe } from './recipes.ts';
import { makeTree } from './tree.ts';

/** Raise when the builder makes another guest of the same recipe and the same files. */
const BUILDER_VERSION = 2;

/** A built guest in the cache. Its files belong to everybody: never write to them. */
export interface BuiltGuest {
  recipe: GuestRecipe;
  /** The boot disk, a raw sparse file. */
  image: string;
  /** All disks in the VM's order, `image` first. */
  images: string[];
  /** The guest's kernel and initramfs, for firmware that cannot read the disk's controller. */
  kernel: string;
  initrd: string;
  /** `6.1.0-50-amd64` */
  kernelVersion: string;
  /** The public SSH host key that cloud-init made. */
  sshHostKey?: string;
}

/** What the builder notes beside the disks. */
interface BuildRecord {
  recipe: GuestRecipe;
  kernel: string;
  sshHostKey?: string;
}

/**
 * Builds the guest of `recipe`, or takes it from the cache. The first build of a package set takes two
 * minutes and the network, another guest of it about 30 s, a cached one nothing. Throws `tool.*` where a
 * Debian tool is missing or fails.
 */
export async function buildGuest(
  recipe: GuestRecipe,
  options: { say?: (line: string) => void } = {},
): Promise<BuiltGuest> {
  const directory = await cached(guestKey(recipe), async (scratch) => {
    options.say?.(
      `building ${recipe.name} (Debian ${recipe.release}, ${recipe.firmware}): two minutes the first time`,
    );
    const root = join(scratch, 'root');
    const guest = join(scratch, 'guest');
    await mkdir(guest);
    const { kernel } = await makeTree(recipe, root);
    await copyFile(join(root, `boot/vmlinuz-${kernel}`), join(guest, 'vmlinuz'));
    await copyFile(join(root, `boot/initrd.img-${kernel}`), join(guest, 'initrd.img'));
    const key = recipe.cloudInit === true ? { sshHostKey: await readSshHostKey(root) } : {};
    const record: BuildRecord = { recipe, kernel, ...key };
    for (const image of await makeDisks(recipe, { root, kernel, directory: scratch })) {
      await rename(image, join(guest, image.slice(scratch.length + 1)));
    }
    await writeFile(join(guest, 'recipe.json'), `${JSON.stringify(record, null, 2)}\n`);
    return guest;
  });
  const { kernel: kernelVersion, sshHostKey } = await buildRecord(directory);
  const images = recipe.disks.map((_, index) => join(directory, `disk${index}.raw`));
  return {
    recipe,
    image: images[0] as string,
    images,
    kernel: join(directory, 'vmlinuz'),
    initrd: join(directory, 'initrd.img'),
    kernelVersion,
    ...(sshHostKey === undefined ? {} : { sshHostKey }),
  };
}

/** Name of the guest in the cache: another recipe, or other files from the same one, is another guest. */
export function guestKey(recipe: GuestRecipe): string {
  const key = hexFrom(JSON.stringify([BUILDER_VERSION, recipe, layOut(recipe), guestFiles(recipe)]));
  return `${recipe.name}-${key.slice(0, 16)}`;
}

async function buildRecord(directory: string): Promise<BuildRecord> {
  return JSON.parse(await readFile(join(directory, 'recipe.json'), 'utf8')) as BuildRecord;
}
