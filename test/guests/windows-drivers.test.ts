import { mkdirSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openHive } from '../../src/guest/registry/hive.js';
import type { Plan } from '../../src/operations/plan.js';
import type { Report } from '../../src/report/report.js';
import { run } from '../../src/tools/run.js';
import { cli } from '../integration/support/cli.js';
import {
  type DriverName,
  driverPackage,
  makeSigners,
  type PackageFiles,
  writePackage,
} from '../unit/families/windows/drivers/virtio-win.js';
import { goldenSoftware, goldenSystem, withoutOwnValues } from '../unit/families/windows/golden.js';
import { hiveLines } from '../unit/families/windows/hive-lines.js';
import { DISK_IDS, loaderProblem } from '../unit/families/windows/loader-model.js';
import { rootFiles, type WindowsRecipe } from '../unit/families/windows/make-windows.js';
import { NINE } from '../unit/families/windows/nine.js';
import { binary } from '../unit/guest/registry/make-hive.js';
import { makeVmwareGuest, readSecurity, readWindowsDisk } from './windows-disk.js';

const DRIVERS = '/Windows/System32/drivers';
const FOLDER = '/Windows/Drivers/VirtIO';
const SYSTEM = '/Windows/System32/config/SYSTEM';
const SOFTWARE = '/Windows/System32/config/SOFTWARE';

/** The others are converted by `npm run test:matrix -- --windows`. */
const IN_EVERY_RUN = ['Windows 7 x86', 'Windows 11 on UEFI'];
const chosen = Object.entries(NINE).filter(
  ([name]) => process.env.HYPER2KVM_WINDOWS === 'all' || IN_EVERY_RUN.includes(name),
);
/** The lab's signers are none of Microsoft's: 64-bit Windows takes their drivers in test mode alone. */
const TEST_MODE = { '16000049': binary('Element', '01') };
/** NTFS has names in any case. */
const OLDER = {
  [`${DRIVERS}/VioStor.sys`]: 'an older driver',
  [`${DRIVERS}/vioscsi.sys`]: 'another',
};
/** All that a conversion takes of a virtio-win. */
const NAMES: DriverName[] = [
  ...(['viostor', 'vioscsi', 'NetKVM', 'Balloon', 'vioserial', 'viorng', 'vioinput'] as const),
  ...(['fwcfg', 'pvpanic', 'viogpudo', 'viofs'] as const),
];
/** Real drivers have 50 to 300 KiB. */
const DRIVER_BYTES = 200_000;

/** SYSTEM and Administrators: full; users: read and execute; nothing from above. Folders pass it on. */
const SECURITY = {
  file: /^01000490.{32}02004c000300000000001400ff011f00/,
  directory: /^01000490.{32}02004c000300000000031400ff011f00/,
};

const linesOf = (hive: unknown) => withoutOwnValues(hiveLines(openHive(hive as Buffer).root));

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'h2k-windows-drivers-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe.each(chosen)('%s with a virtio-win', (name, windows) => {
  const { os, identity } = windows;
  const { architecture } = windows.target;
  const recipe: WindowsRecipe = {
    ...windows.recipe,
    loader: TEST_MODE,
    files: { ...windows.recipe.files, ...OLDER },
  };
  const id = `g${Object.keys(NINE).indexOf(name)}`;
  const packages: Record<string, PackageFiles> = {};
  let disk: string;
  let report: Report;

  beforeAll(async () => {
    const source = join(directory, id);
    const virtioWin = join(directory, `${id}-virtio-win`);
    for (const path of [source, virtioWin]) mkdirSync(path);
    const signers = makeSigners();
    for (const driver of NAMES) {
      packages[driver] = driverPackage(driver, architecture, signers.publisher, {
        text: driver.padEnd(DRIVER_BYTES),
      });
      writePackage(virtioWin, `${driver}/${os}/${architecture}`, packages[driver]);
    }
    await makeVmwareGuest(windows, recipe, source, id);
    const output = join(directory, `${id}-out`);
    const set = ['validate.enabled=false', `windows.virtio_win=${virtioWin}`];
    const args = [
      'convert',
      join(source, `${id}.vmx`),
      ...['-o', output],
      ...set.flatMap((pair) => ['--set', pair]),
    ];
    const { code, err } = await cli(args);
    expect(err).not.toMatch(/failed/i);
    expect(code).toBe(0);
    report = JSON.parse(await readFile(join(output, id, 'report.json'), 'utf8')) as Report;
    disk = join(output, id, `${id}-disk0.qcow2`);
    const { seconds } = report.stages.find(({ stage }) => stage === 'fix')!;
    const { operations } = JSON.parse(await readFile(join(output, id, 'plan.json'), 'utf8')) as Plan;
    const changes = operations.flatMap((operation) => (operation.op === 'registry' ? operation.changes : []));
    console.log(`${name}: FIX took ${seconds} s for ${changes.length} changes of the registry`);
  });

  it('is identified', () => expect(report.identity).toMatchObject(identity));

  it('has every value of the registry that it needs, and no other', async () => {
    const [system, software] = await readWindowsDisk(disk, recipe.firmware, [SYSTEM, SOFTWARE]);
    const before = rootFiles(recipe);
    expect(linesOf(system)).toEqual(goldenSystem(linesOf(before[SYSTEM]), windows));
    expect(linesOf(software)).toEqual(goldenSoftware(linesOf(before[SOFTWARE])));
  });

  it('has the files of each package, those that start Windows in its own directory, too', async () => {
    const expected = Object.values(packages).flatMap((content) =>
      Object.entries(content).map(([file, bytes]): [string, Buffer] => [
        `${FOLDER}/${file.toLowerCase()}`,
        bytes,
      ]),
    );
    expected.push([`${DRIVERS}/VioStor.sys`, packages.viostor?.['viostor.sys'] as Buffer]);
    expected.push([`${DRIVERS}/vioscsi.sys`, packages.vioscsi?.['vioscsi.sys'] as Buffer]);
    const read = await readWindowsDisk(
      disk,
      recipe.firmware,
      expected.map(([path]) => path),
    );
    for (const [index, [path, bytes]] of expected.entries())
      expect([path, read[index]?.equals(bytes)]).toEqual([path, true]);
  });

  it('lets nobody but SYSTEM and Administrators change them', async () => {
    const paths = [`${FOLDER}/viostor.inf`, `${FOLDER}/netkvm.sys`, `${DRIVERS}/VioStor.sys`];
    const directories = ['/Windows/Drivers', FOLDER];
    const found = await readSecurity(disk, recipe.firmware, [...paths, ...directories]);
    for (const [index, security] of found.entries())
      expect(security).toMatch(index < paths.length ? SECURITY.file : SECURITY.directory);
    // Windows' own keep what they had.
    const [windows, drivers] = await readSecurity(disk, recipe.firmware, ['/Windows', DRIVERS]);
    expect([windows, drivers].filter((security) => SECURITY.directory.test(security ?? ''))).toEqual([]);
  });

  it('would be loaded from virtio disks', async () => {
    const paths = [SYSTEM, `${DRIVERS}/VioStor.sys`, `${DRIVERS}/vioscsi.sys`];
    const [system, viostor, vioscsi] = await readWindowsDisk(disk, recipe.firmware, paths);
    const drivers: Record<string, Buffer | undefined> = {
      'system32\\drivers\\viostor.sys': viostor,
      'system32\\drivers\\vioscsi.sys': vioscsi,
    };
    const view = { system: system as Buffer, file: (path: string) => drivers[path] ?? null, architecture };
    for (const ids of Object.values(DISK_IDS)) expect(loaderProblem(view, ids)).toBeNull();
    expect(report.devices).toMatchObject({ disk_bus: 'virtio', nic_model: 'virtio' });
  });

  it('is not changed by a second conversion', async () => {
    // With the same description: it has the addresses of the network cards.
    const again = join(directory, `${id}-again`);
    await mkdir(again);
    await copyFile(join(directory, id, `${id}.vmx`), join(again, `${id}.vmx`));
    for (const index of windows.dataDisk === 0 ? [0] : [0, 1]) {
      const delivered = join(directory, `${id}-out`, id, `${id}-disk${index}.qcow2`);
      await run('qemu-img', ['convert', '-O', 'vmdk', delivered, join(again, `disk${index}.vmdk`)]);
    }
    const virtioWin = join(directory, `${id}-virtio-win`);
    const set = ['--set', `windows.virtio_win=${virtioWin}`];
    const { code, out } = await cli(['plan', join(again, `${id}.vmx`), '--json', ...set]);
    expect(code).toBe(0);
    expect((JSON.parse(out) as { operations: unknown[] }).operations).toEqual([]);
  });
});
