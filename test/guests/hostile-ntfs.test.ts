import { mkdir, mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../src/tools/run.js';
import { labDriversIn } from '../unit/families/windows/drivers/lab-drivers.js';
import { DISK_IDS, loaderProblem } from '../unit/families/windows/loader-model.js';
import {
  bootStore,
  hiveOf,
  rootFiles,
  systemKeys,
  type WindowsRecipe,
} from '../unit/families/windows/make-windows.js';
import { GROUPS } from '../unit/families/windows/nine.js';
import { WINDOWS_10_ON_VMWARE } from '../unit/families/windows/vmware-facts.js';
import { dword, sealBaseBlock, sz } from '../unit/guest/registry/make-hive.js';
import { entriesLog } from '../unit/guest/registry/make-log.js';
import {
  COMPRESSED,
  encryptWithBitLocker,
  junction,
  lengthenAttribute,
  linuxLink,
  makeLoop,
  relativeLink,
} from './ntfs-damage.js';
import { type FixedVolume, openOneAppliance } from './one-appliance.js';
import { leaveUnclean, makeNtfs, withMounted } from './windows-disk.js';

const RECIPE: WindowsRecipe = {
  ...{ build: 19_045, product: 'Windows 10 Pro', edition: 'Professional', installation: 'Client' },
  ...{ machine: 'amd64', firmware: 'bios' },
  system: {
    ...WINDOWS_10_ON_VMWARE,
    ...GROUPS,
    // Every client's default: no reason to stop.
    '@\\Control\\Session Manager\\Power': [dword('HiberbootEnabled', 1)],
  },
  files: {
    '/hiberfil.sys': 'wake'.padEnd(8192, '\0'),
    '/Users/bob/notes.txt': 'of a user',
    '/Windows/System32/drivers/other.sys': 'x',
  },
};
const MIB = 1024 * 1024;
const ROOT_MIB = 160;
const HIVE = 'Windows/System32/config/SYSTEM';
const DRIVERS = 'Windows/System32/drivers';

/** Where files for the volumes are. */
const directory = await mkdtemp(join(tmpdir(), 'h2k-ntfs-'));

const point = (path: string, data: string) =>
  `setfattr -h -n system.ntfs_reparse_data -v 0x${data} '${path}'`;
const linked = (path: string, data: string) => `mkdir -p '${path}'; ${point(path, data)}`;
/** What was at `path` stands elsewhere, and a junction leads there. */
const moved = (path: string, to: string) =>
  `mkdir -p "$(dirname '${to}')"; mv '${path}' '${to}'; ${linked(path, junction(`\\${to.replaceAll('/', '\\')}`))}`;

interface Hostile {
  /** Run in the root of a good Windows. */
  script?: string;
  /** Done to the volume. */
  damage?: (image: string) => Promise<void>;
  /** Puts it into a partition of this type. */
  partition?: string;
  /** The code that it is refused with; absent: it is converted. */
  code?: string;
  /** What differs afterwards beside what always does. */
  differs?: RegExp;
}

const CORPUS: Record<string, Hostile> = {
  'a good Windows': {},
  'hard links, streams, twins and points of all kinds beside what is used': {
    script: [
      `ln Users/bob/notes.txt ${DRIVERS}/viostor.sys`,
      `echo x >${DRIVERS}/vioscsi.sys`,
      point(`${DRIVERS}/vioscsi.sys`, COMPRESSED),
      // The hive by another name is still the hive.
      `ln ${HIVE} Users/bob/mine`,
      `setfattr -n user.hidden -v stream ${HIVE}`,
      'mkdir -p windows/system32/config',
      'echo no >windows/system32/config/system',
      'echo no >Windows/System32/config/system',
      linked('Windows/Temp', junction('\\Users\\bob')),
      linked('Windows/loop', junction('\\Windows\\loop')),
      linked('Users/all', relativeLink('..')),
      'mkdir -p Windows/Drivers/loop',
      point('Windows/System32/ntoskrnl.exe', COMPRESSED),
    ].join('\n'),
    damage: async (image) => {
      await makeLoop(image, 'Windows/Drivers/loop', 'Windows');
      await leaveUnclean(image);
    },
    differs: /^Users\/bob\/mine$/,
  },
  'a hive that is not closed, with its log': {
    script: `cp ${directory}/open ${HIVE}; cp ${directory}/log ${HIVE}.LOG1`,
  },
  'a hive that is not closed, without a log': {
    script: `cp ${directory}/open ${HIVE}`,
    code: 'guest.hive-dirty',
  },
  'a hibernated Windows': {
    script: 'printf hibr | dd of=hiberfil.sys conv=notrunc status=none',
    code: 'plan.windows-hibernated',
  },
  'a volume that BitLocker has encrypted': { damage: encryptWithBitLocker, code: 'inspect.bitlocker' },
  'a dynamic disk': { partition: '42', code: 'plan.windows-dynamic-disk' },
  'a boot configuration of another disk': {
    script: `mkdir Boot; cp ${directory}/BCD Boot/BCD`,
    ...{ partition: '7', code: 'plan.windows-boot-store' },
  },
  // ntfs-3g gives a junction an absolute target, which leads nowhere in the appliance.
  'Windows behind a junction': { script: moved('Windows', 'Users/bob/Windows'), code: 'inspect.no-os' },
  'its configuration behind a relative link': {
    script: `mv Windows/System32/config Users/bob/config; ${linked('Windows/System32/config', relativeLink('..\\..\\Users\\bob\\config'))}`,
    code: 'inspect.hive-unreadable',
  },
  'its configuration, a junction to itself': {
    script: `rm -r Windows/System32/config; ${linked('Windows/System32/config', junction('\\Windows\\System32\\config'))}`,
    code: 'inspect.no-os',
  },
  'a hive behind a link of Linux': {
    script: `mv ${HIVE} Users/bob/SYSTEM; echo >${HIVE}; ${point(HIVE, linuxLink('../../../Users/bob/SYSTEM'))}`,
    code: 'inspect.hive-unreadable',
  },
  'a compressed hive': { script: point(HIVE, COMPRESSED), code: 'inspect.hive-unreadable' },
  'a hive of a terabyte': { script: `truncate -s 1T ${HIVE}`, code: 'inspect.hive-unreadable' },
  'a hive whose record has an attribute of 4 GiB': {
    damage: (image) => lengthenAttribute(image, HIVE),
    code: 'guest.call-failed',
  },
  'drivers behind a junction': {
    script: moved(DRIVERS, 'Users/bob/drivers'),
    code: 'fix.unexpected-file',
  },
  'a directory of ours behind a link': {
    script: linked('Windows/Drivers', linuxLink('/Users/bob')),
    code: 'fix.unexpected-file',
  },
  'the first boot’s directory behind a link': {
    script: linked('Program Files/hyper2kvm', relativeLink('..\\Users\\bob')),
    code: 'fix.unexpected-file',
  },
  'a directory in the place of a driver': {
    script: `mkdir ${DRIVERS}/viostor.sys`,
    code: 'fix.unexpected-file',
  },
};

/** What a conversion writes. */
const OURS =
  /^(?:Windows\/System32\/config\/(?:SYSTEM|SOFTWARE)|Windows\/Drivers(?:\/.*)?|Windows\/System32\/drivers\/vio(?:stor|scsi)\.sys|Program Files\/hyper2kvm(?:\/.*)?)$/;

const results: Record<string, FixedVolume | Error> = {};
/** What is at each path, read by ntfs-3g on this host. */
const trees: Record<string, { before: Map<string, string>; after: Map<string, string> }> = {};
/** The volumes as FIX left them. */
const volumes: Record<string, string> = {};

beforeAll(async () => {
  const drivers = await labDriversIn(
    join(directory, 'virtio-win'),
    { build: RECIPE.build, architecture: 'amd64' },
    'w10',
  );
  await writeFiles();
  const good = join(directory, 'good.raw');
  await makeNtfs(good, ROOT_MIB, 0, rootFiles(RECIPE));
  const images: string[] = [];
  for (const [index, hostile] of Object.values(CORPUS).entries())
    images.push(await makeVolume(good, join(directory, `${index}.raw`), hostile));
  const appliance = await openOneAppliance(images, join(directory, 'appliance'));
  try {
    for (const [index, name] of Object.keys(CORPUS).entries())
      results[name] = await appliance.convert(index, drivers).catch((error: Error) => error);
  } catch (error) {
    await appliance.kill();
    throw error;
  }
  const fixed = await appliance.close();
  for (const [index, [name, hostile]] of Object.entries(CORPUS).entries()) {
    const raw = join(directory, `${index}-fixed.raw`);
    await run('qemu-img', ['convert', '-O', 'raw', fixed[index]!, raw]);
    volumes[name] = raw;
    if (hostile.damage === encryptWithBitLocker) continue;
    const before = join(directory, `${index}.raw`);
    trees[name] = { before: await treeOf(before), after: await treeOf(await volumeOf(raw, hostile)) };
  }
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function writeFiles(): Promise<void> {
  const before = systemKeys(RECIPE);
  const parameters = { 'ControlSet001\\Services\\Tcpip\\Parameters': [sz('Hostname', 'WIN-LATE')] };
  const closed = hiveOf(before);
  const opened = Buffer.from(closed);
  opened.writeUInt32LE(2, 4);
  sealBaseBlock(opened);
  await writeFile(join(directory, 'open'), opened);
  await writeFile(
    join(directory, 'log'),
    entriesLog([closed, hiveOf({ ...before, ...parameters })], { sequence: 1 }),
  );
  await writeFile(join(directory, 'BCD'), bootStore(RECIPE));
}

async function makeVolume(
  good: string,
  image: string,
  { script = '', damage, partition }: Hostile,
): Promise<string> {
  await run('cp', ['--sparse=always', good, image]);
  if (script !== '') await withMounted(image, `cd "$1"; ${script}`, 'streams_interface=xattr');
  await damage?.(image);
  if (partition === undefined) return image;
  const disk = image.replace(/\.raw$/, '-disk.raw');
  await (await open(disk, 'wx')).close();
  await truncate(disk, (ROOT_MIB + 2) * MIB);
  const table = `label: dos\nlabel-id: 0x11111111\nstart=1MiB, size=${ROOT_MIB}MiB, type=${partition}, bootable\n`;
  await run('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', disk], { input: table });
  await run('dd', [`if=${image}`, `of=${disk}`, 'bs=1M', 'seek=1', 'conv=notrunc,sparse', 'status=none']);
  return disk;
}

/** The volume of a disk with one partition, or the disk itself. */
async function volumeOf(disk: string, { partition }: Hostile): Promise<string> {
  if (partition === undefined) return disk;
  const volume = `${disk}.part`;
  await run('dd', [`if=${disk}`, `of=${volume}`, 'bs=1M', 'skip=1', 'conv=sparse', 'status=none']);
  return volume;
}

/** A directory that is below itself is not followed. */
const LIST = `cd "$1"
find . -path ./Windows/Drivers/loop -prune -o ! -name . -printf '%P\\t%y %l\\n' | sed "s|$1||"
find . -path ./Windows/Drivers/loop -prune -o -type f -size -64M -printf '%P\\0' | xargs -0 sha256sum | sed 's/^\\([^ ]*\\)  \\(.*\\)/\\2\\t\\1/'`;

async function treeOf(image: string): Promise<Map<string, string>> {
  const tree = new Map<string, string>();
  for (const line of (await withMounted(image, LIST, 'ro')).split('\n')) {
    const [path = '', what] = line.split('\t');
    if (what !== undefined) tree.set(path, `${tree.get(path) ?? ''}${what} `);
  }
  return tree;
}

describe.each(Object.entries(CORPUS))('%s', (name, { code, damage, differs }) => {
  const changed = () => {
    const { before, after } = trees[name]!;
    expect(before.size).toBeGreaterThan(10);
    return [...new Set([...before.keys(), ...after.keys()])].filter(
      (path) => before.get(path) !== after.get(path),
    );
  };

  if (code !== undefined) {
    it(`is refused before anything is written: ${code}`, () => {
      expect(results[name]).toMatchObject({ code });
      if (damage !== encryptWithBitLocker) expect(changed()).toEqual([]);
    });
    return;
  }

  it('is converted, and nothing else of it is changed', async () => {
    const result = results[name];
    if (result === undefined || result instanceof Error) throw result;
    expect(result.fixed.applied).toBeGreaterThan(5);
    expect(changed().filter((path) => !OURS.test(path) && !differs?.test(path))).toEqual([]);
    expect(trees[name]!.after.get('Users/bob/notes.txt')).toBe(
      trees[name]!.before.get('Users/bob/notes.txt'),
    );
    const copy = join(directory, 'copy');
    await mkdir(copy, { recursive: true });
    const paths = [HIVE, `${DRIVERS}/viostor.sys`, `${DRIVERS}/vioscsi.sys`].map((path) => `"$1/${path}"`);
    await withMounted(volumes[name]!, `cp ${paths.join(' ')} ${copy}`, 'ro');
    const system = await readFile(join(copy, 'SYSTEM'));
    const driver: Record<string, Buffer> = {};
    for (const sys of ['viostor.sys', 'vioscsi.sys'])
      driver[`system32\\drivers\\${sys}`] = await readFile(join(copy, sys));
    const view = { system, file: (path: string) => driver[path] ?? null, architecture: 'amd64' as const };
    for (const ids of Object.values(DISK_IDS)) expect(loaderProblem(view, ids)).toBeNull();
    expect(system.includes(Buffer.from('WIN-LATE', 'utf16le'))).toBe(name.includes('with its log'));
  });
});
