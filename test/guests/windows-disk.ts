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

/** Makes the recipe's disk, as Windows' setup divides it: a system partition or ESP, then the root. */
export async function makeWindowsDisk(recipe: WindowsRecipe, file: string): Promise<void> {
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
