import { mkdir, mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run } from '../../src/tools/run.js';
import { asRoot } from '../lab/privileged.ts';
import {
  bootStore,
  DISK_GUID,
  DISK_SIGNATURE,
  PARTITION_GUID,
  rootFiles,
  type WindowsRecipe,
} from '../unit/families/windows/make-windows.js';

const MIB = 1024 * 1024;
const SYSTEM_MIB = 101;
const ROOT_MIB = 400;

/** Where the partitions are, in MiB; the boot configuration names the root by it, or by its GUID. */
const LAYOUTS = {
  bios: { boot: { start: 1, size: 100 }, root: SYSTEM_MIB },
  uefi: { boot: { start: 1, size: 100 }, root: 117 },
} as const;

const TABLES = {
  bios: `label: dos
label-id: 0x${DISK_SIGNATURE}
start=1MiB, size=100MiB, type=7, bootable
start=${SYSTEM_MIB}MiB, size=${ROOT_MIB}MiB, type=7
`,
  uefi: `label: gpt
label-id: ${DISK_GUID}
start=1MiB, size=100MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
start=101MiB, size=16MiB, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE
start=117MiB, size=${ROOT_MIB}MiB, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, uuid=${PARTITION_GUID}
`,
} as const;

/**
 * Makes the recipe's disk, as Windows' setup divides it: a system partition or ESP, then the root, which is as Windows
 * leaves a volume, or as it leaves one in the middle of its work.
 */
export async function makeWindowsDisk(
  recipe: WindowsRecipe,
  file: string,
  journal: 'clean' | 'unclean' = 'clean',
): Promise<void> {
  const { firmware } = recipe;
  const layout = LAYOUTS[firmware];
  const scratch = await mkdtemp(`${file}-`);
  try {
    await (await open(file, 'wx')).close();
    await truncate(file, (layout.root + ROOT_MIB + 2) * MIB);
    await run('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', file], { input: TABLES[firmware] });
    const store = bootStore(recipe);
    if (firmware === 'uefi') await makeEsp(file, store, scratch);
    else {
      const system = join(scratch, 'system.img');
      await makeNtfs(system, layout.boot.size, layout.boot.start, { '/Boot/BCD': store });
      await put(system, file, layout.boot.start);
    }
    const root = join(scratch, 'root.img');
    await makeNtfs(root, ROOT_MIB, layout.root, rootFiles(recipe));
    if (journal === 'unclean') await leaveUnclean(root);
    await put(root, file, layout.root);
  } finally {
    await rm(scratch, { recursive: true });
  }
}

const put = (image: string, disk: string, start: number) =>
  run('dd', [`if=${image}`, `of=${disk}`, 'bs=1M', `seek=${start}`, 'conv=notrunc,sparse', 'status=none']);

async function makeNtfs(
  image: string,
  sizeMib: number,
  startMib: number,
  files: Record<string, Buffer | string | null>,
): Promise<void> {
  await (await open(image, 'wx')).close();
  await truncate(image, sizeMib * MIB);
  const start = String((startMib * MIB) / 512);
  await run('mkntfs', ['-Q', '-F', '-q', '-s', '512', '-p', start, '-H', '255', '-S', '63', image]);
  const tree = `${image}.tree`;
  for (const [path, content] of Object.entries(files)) {
    const place = join(tree, path);
    await mkdir(content === null ? place : dirname(place), { recursive: true });
    if (content !== null) await writeFile(place, content);
  }
  await withMounted(image, `cp -r ${tree}/. "$1"`);
}

const CLUSTER_BYTES = 4096;
const PAGE_BYTES = 4096;

/** Writes restart pages to a volume's journal that say that NTFS is still at work on it. */
async function leaveUnclean(image: string): Promise<void> {
  const { stdout } = await run('ntfsinfo', ['-v', '-i', '2', image]);
  const text = stdout.toString();
  const cluster = /VCN\s+LCN\s+Length\s+0x0\s+0x([0-9a-f]+)/.exec(text)?.[1] ?? '';
  const size = Number(/Data size:\s+(\d+)/.exec(text)?.[1]);
  const file = await open(image, 'r+');
  try {
    const page = restartPage(size);
    for (const index of [0, 1])
      await file.write(
        page,
        0,
        page.length,
        Number.parseInt(cluster, 16) * CLUSTER_BYTES + index * PAGE_BYTES,
      );
  } finally {
    await file.close();
  }
}

/** After ntfs-3g's logfile.h: one client, NTFS, which is in use, and no flag that the volume is clean. */
function restartPage(logBytes: number): Buffer {
  const [area, client, lsn] = [0x30, 0x60, 0x10_0000n];
  const page = Buffer.alloc(PAGE_BYTES);
  page.write('RSTR', 0, 'latin1');
  const sectors = PAGE_BYTES / 512;
  const words: Record<number, number> = {
    ...{ 4: 0x1e, 6: sectors + 1, 24: area, 26: 1, 28: 1 },
    // Clients: how many, the first free one, the first one in use.
    ...{ [area + 0x08]: 1, [area + 0x0a]: 0xffff, [area + 0x0c]: 0 },
    ...{ [area + 0x14]: 0xd0, [area + 0x16]: client - area, [area + 0x24]: 0x30, [area + 0x26]: 0x40 },
    ...{ [client + 0x10]: 0xffff, [client + 0x12]: 0xffff, [client + 0x1c]: 8 },
    [area + 0x10]: 67 - Math.floor(Math.log2(logBytes) + 1),
  };
  for (const [at, value] of Object.entries(words)) page.writeUInt16LE(value, Number(at));
  for (const at of [0x10, 0x14]) page.writeUInt32LE(PAGE_BYTES, at);
  page.writeBigUInt64LE(lsn, area);
  page.writeBigUInt64LE(BigInt(logBytes), area + 0x18);
  for (const at of [client, client + 8]) page.writeBigUInt64LE(lsn, at);
  page.write('NTFS', client + 0x20, 'utf16le');
  // The last two bytes of each sector are kept in the head; in their place is a number that tells a torn write.
  page.writeUInt16LE(1, 0x1e);
  for (let sector = 0; sector < sectors; sector++) {
    const end = (sector + 1) * 512 - 2;
    page.copy(page, 0x20 + 2 * sector, end, end + 2);
    page.writeUInt16LE(1, end);
  }
  return page;
}

/** Returns what ntfs-3g's own tool says of a converted disk's root: whether it waits for chkdsk, and its journal. */
export async function readVolume(
  disk: string,
  firmware: WindowsRecipe['firmware'],
): Promise<{ dirty: boolean; journalHead: Buffer }> {
  return withRoot(disk, firmware, async (image) => {
    const info = (await run('ntfsinfo', ['-fm', image])).stdout.toString();
    const { stdout } = await run('ntfscat', ['-f', '-i', '2', image]);
    const flags = /Volume Flags:\s+(0x[0-9a-f]+)/i.exec(info)?.[1];
    return { dirty: (Number(flags) & 1) !== 0, journalHead: stdout.subarray(0, PAGE_BYTES) };
  });
}

/** Runs a shell script in which `$1` is the mounted NTFS volume. */
async function withMounted(image: string, script: string): Promise<void> {
  const directory = `${image}.mnt`;
  await mkdir(directory);
  await asRoot('sh', ['-ec', `ntfs-3g ${image} "$1"; ${script}; umount "$1"`, 'sh', directory]);
  await rm(directory, { recursive: true });
}

async function makeEsp(disk: string, store: Buffer, scratch: string): Promise<void> {
  const content = join(scratch, 'esp');
  await mkdir(join(content, 'EFI/Microsoft/Boot'), { recursive: true });
  await writeFile(join(content, 'EFI/Microsoft/Boot/BCD'), store);
  const offset = LAYOUTS.uefi.boot.start * MIB;
  const blocks = String(LAYOUTS.uefi.boot.size * 1024);
  await run('mkfs.vfat', ['-F', '32', '-s', '1', '-n', 'EFI', `--offset=${offset / 512}`, disk, blocks]);
  await run('mcopy', ['-s', '-i', `${disk}@@${offset}`, join(content, 'EFI'), '::/']);
}

/** Returns files of a converted disk's root, read by ntfs-3g's own tool. */
export async function readWindowsDisk(
  disk: string,
  firmware: WindowsRecipe['firmware'],
  paths: readonly string[],
): Promise<Buffer[]> {
  return withRoot(disk, firmware, async (image) => {
    const files: Buffer[] = [];
    for (const [index, path] of paths.entries()) {
      const file = `${image}.${index}`;
      await run('sh', ['-ec', 'ntfscat -f "$1" "$2" > "$3"', 'sh', image, path, file]);
      files.push(await readFile(file));
    }
    return files;
  });
}

/** Returns the security descriptors of files of a converted disk's root, in hexadecimal. */
export async function readSecurity(
  disk: string,
  firmware: WindowsRecipe['firmware'],
  paths: readonly string[],
): Promise<string[]> {
  return withRoot(disk, firmware, async (image) => {
    const directory = `${image}.mnt`;
    await mkdir(directory);
    const read = 'getfattr --only-values -n system.ntfs_acl "$1/$path" | od -An -v -tx1 | tr -d " \\n"; echo';
    const script = `ntfs-3g -o ro ${image} "$1"; for path in ${paths.map((path) => `'${path}'`).join(' ')}; do ${read}; done; umount "$1"`;
    const { stdout } = await asRoot('sh', ['-ec', script, 'sh', directory]);
    return stdout.toString().trim().split('\n');
  });
}

/** Runs `use` with an image of the root. */
async function withRoot<T>(
  disk: string,
  firmware: WindowsRecipe['firmware'],
  use: (image: string) => Promise<T>,
): Promise<T> {
  const scratch = await mkdtemp(`${disk}-`);
  try {
    const raw = join(scratch, 'disk.raw');
    await run('qemu-img', ['convert', '-O', 'raw', disk, raw]);
    const image = join(scratch, 'root.img');
    const place = [`skip=${LAYOUTS[firmware].root}`, `count=${ROOT_MIB}`];
    await run('dd', [`if=${raw}`, `of=${image}`, 'bs=1M', ...place, 'conv=sparse', 'status=none']);
    return await use(image);
  } finally {
    await rm(scratch, { recursive: true });
  }
}
