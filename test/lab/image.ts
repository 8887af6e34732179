import { copyFile, mkdir, open, readdir, readFile, rename, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '#hyper2kvm/tools/run.js';
import { canMakeOnHost, fillInAppliance } from './appliance-image.ts';
import {
  bootDirectory,
  bootPartition,
  espGrubConfig,
  GRUB_FILESYSTEMS,
  hasKernelOnEsp,
} from './boot-loaders.ts';
import { type DiskLayout, layOut, type PlacedPartition, partitionAt, sfdiskScript } from './layout.ts';
import { asRoot } from './privileged.ts';
import type { GuestRecipe } from './recipes.ts';
import { HOST_GRUB_BIOS } from './tree.ts';

const SECTOR = 512;

export interface GuestTreeOnHost {
  /** The tree; it is taken apart on the way. */
  root: string;
  kernel: string;
  /** Where the disks are made. */
  directory: string;
}

/** Turns the tree into raw sparse disks `disk0.raw` … in `directory`. */
export async function makeDisks(recipe: GuestRecipe, tree: GuestTreeOnHost): Promise<string[]> {
  const { root, directory } = tree;
  const disks = layOut(recipe);
  const isHostEnough = canMakeOnHost(recipe);
  const esp = await espContent(recipe, tree);
  const contents = isHostEnough ? await splitTree(disks, root, join(directory, 'contents')) : new Map();
  const images: string[] = [];
  for (const [index, disk] of disks.entries()) {
    const image = join(directory, `disk${index}.raw`);
    await (await open(image, 'wx')).close();
    await truncate(image, disk.size);
    await run('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', image], { input: sfdiskScript(disk) });
    for (const partition of disk.partitions) {
      if (isHostEnough || partition.filesystem === 'vfat')
        await FORMATTERS[partition.filesystem]?.(image, partition, contents.get(partition.mount));
    }
    images.push(image);
  }
  const [boot] = images;
  if (boot === undefined) throw new RangeError('the recipe has no disk');
  if (!isHostEnough) await fillInAppliance(recipe, images, tree);
  if (esp !== null) await fillEsp(boot, partitionAt(disks, '/boot/efi'), esp);
  else if (recipe.loader === undefined) await installBiosGrub(boot, recipe, directory);
  return images;
}

/** The directory of each mount point's own content. What is mounted deepest is taken out first. */
async function splitTree(
  disks: readonly DiskLayout[],
  root: string,
  parts: string,
): Promise<Map<string, string>> {
  const mounts = disks
    .flatMap((disk) => disk.partitions)
    .map((partition) => partition.mount)
    .filter((mount) => mount.startsWith('/') && mount !== '/')
    .sort((a, b) => b.length - a.length);
  const contents = new Map([['/', root]]);
  await mkdir(parts);
  for (const [index, mount] of mounts.entries()) {
    const part = join(parts, String(index));
    await rename(join(root, mount), part);
    await mkdir(join(root, mount));
    contents.set(mount, part);
  }
  return contents;
}

type Formatter = (image: string, partition: PlacedPartition, content: string | undefined) => Promise<void>;

const FORMATTERS: Partial<Record<PlacedPartition['filesystem'], Formatter>> = {
  async ext4(image, partition, content) {
    const extended = `offset=${partition.offset},hash_seed=${partition.uuid},root_owner=0:0`;
    const source = content === undefined ? [] : ['-d', content];
    const size = `${partition.size / 1024}k`;
    await asRoot('mke2fs', [
      ...['-q', '-F', '-t', 'ext4', '-U', partition.uuid, '-E', extended],
      ...[...source, image, size],
    ]);
  },
  async vfat(image, partition) {
    // One sector a cluster: mkfs.fat chooses by the file's size, not the partition's, and FAT32 needs 65,525
    // clusters.
    await run('mkfs.vfat', [
      ...['-F', '32', '-s', '1', '--invariant', '-i', partition.uuid.replace('-', ''), '-n', 'EFI'],
      ...[`--offset=${partition.offset / SECTOR}`, image, String(partition.size / 1024)],
    ]);
  },
  async swap(image, partition) {
    // mkswap knows no offset; its header is the first page only.
    const header = `${image}.swap`;
    await run('truncate', ['-s', String(partition.size), header]);
    await run('mkswap', ['-q', '-U', partition.uuid, header]);
    await run('dd', [
      ...[`if=${header}`, `of=${image}`, 'bs=4096', 'count=1', 'conv=notrunc', 'status=none'],
      `seek=${partition.offset / 4096}`,
    ]);
    await run('rm', [header]);
  },
};

/**
 * GRUB for BIOS without grub-install: boot.img's 440 bytes of code into the MBR, core.img behind it. Their
 * defaults are sector 1 for the core and sector 2 for the core's rest, which is where dd puts them (GRUB
 * manual, "BIOS installation").
 */
async function installBiosGrub(image: string, recipe: GuestRecipe, directory: string): Promise<void> {
  const core = join(directory, 'core.img');
  const boot = bootPartition(recipe);
  const prefix = `(hd0,msdos${boot.number})${bootDirectory(recipe)}/grub`;
  await run('grub-mkimage', [
    ...['-O', 'i386-pc', '-d', HOST_GRUB_BIOS, '-p', prefix, '-o', core],
    ...['biosdisk', 'part_msdos', GRUB_FILESYSTEMS[boot.filesystem]],
  ]);
  const handle = await open(image, 'r+');
  try {
    await handle.write(await readFile(join(HOST_GRUB_BIOS, 'boot.img')), 0, 440, 0);
    await handle.write(await readFile(core), 0, undefined, SECTOR);
  } finally {
    await handle.close();
  }
  await run('rm', [core]);
}

/**
 * A directory with what the ESP holds, null for a BIOS guest. GRUB: Debian's signed loaders from the guest's
 * own packages, in \EFI\debian only: VMware's NVRAM names the loader, so nothing ever needed \EFI\BOOT.
 */
async function espContent(recipe: GuestRecipe, { root, directory }: GuestTreeOnHost): Promise<string | null> {
  if (recipe.firmware !== 'uefi') return null;
  const content = join(directory, 'esp');
  if (hasKernelOnEsp(recipe)) {
    await rename(join(root, 'boot/efi'), content);
    await mkdir(join(root, 'boot/efi'));
    return content;
  }
  const sources = {
    'shimx64.efi': 'usr/lib/shim/shimx64.efi.signed',
    'mmx64.efi': 'usr/lib/shim/mmx64.efi.signed',
    'fbx64.efi': 'usr/lib/shim/fbx64.efi.signed',
    'BOOTX64.CSV': 'usr/lib/shim/BOOTX64.CSV',
    'grubx64.efi': 'usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed',
  } as const;
  const vendor = join(content, 'EFI/debian');
  await mkdir(vendor, { recursive: true });
  await writeFile(join(vendor, 'grub.cfg'), espGrubConfig(recipe));
  for (const [name, path] of Object.entries(sources)) await copyFile(join(root, path), join(vendor, name));
  return content;
}

async function fillEsp(image: string, esp: PlacedPartition, content: string): Promise<void> {
  const names = (await readdir(content)).sort();
  await run('mcopy', [
    ...['-s', '-i', `${image}@@${esp.offset}`],
    ...names.map((name) => join(content, name)),
    '::/',
  ]);
}
