import { mkdirSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Report } from '../../src/report/report.js';
import { cli } from '../integration/support/cli.js';
import {
  type Architecture,
  type DriverName,
  driverPackage,
  makeSigners,
  type PackageFiles,
  writePackage,
} from '../unit/families/windows/drivers/virtio-win.js';
import { DISK_IDS, loaderProblem } from '../unit/families/windows/loader-model.js';
import type { WindowsRecipe } from '../unit/families/windows/make-windows.js';
import { WINDOWS_7_ON_VMWARE, WINDOWS_10_ON_VMWARE } from '../unit/families/windows/vmware-facts.js';
import { binary, multiSz } from '../unit/guest/registry/make-hive.js';
import { makeWindowsDisk, readSecurity, readWindowsDisk } from './windows-disk.js';

/** NTFS has names in any case. */
const DRIVERS = '/Windows/System32/drivers';
const FOLDER = '/Windows/Drivers/VirtIO';
const groups = { '@\\Control\\ServiceGroupOrder': [multiSz('List', ['Boot Bus Extender', 'SCSI miniport'])] };

interface Case {
  recipe: WindowsRecipe;
  os: string;
  architecture: Architecture;
}
/** The lab's signers are none of Microsoft's: 64-bit Windows takes their drivers in test mode alone. */
const TEST_MODE = { '16000049': binary('Element', '01') };
const files = {
  [`${DRIVERS}/VioStor.sys`]: 'an older driver',
  [`${DRIVERS}/vioscsi.sys`]: 'another',
};
const CASES: Record<string, Case> = {
  'Windows 7 x86': {
    ...{ os: 'w7', architecture: 'x86' },
    recipe: {
      ...{ build: 7601, product: 'Windows 7 Ultimate', edition: 'Ultimate', installation: 'Client' },
      ...{ machine: 'x86', firmware: 'bios', system: { ...WINDOWS_7_ON_VMWARE, ...groups }, files },
      loader: TEST_MODE,
    },
  },
  'Windows 10 x64': {
    ...{ os: 'w10', architecture: 'amd64' },
    recipe: {
      ...{ build: 19_045, product: 'Windows 10 Pro', edition: 'Professional', installation: 'Client' },
      ...{ machine: 'amd64', firmware: 'uefi', system: { ...WINDOWS_10_ON_VMWARE, ...groups }, files },
      loader: TEST_MODE,
    },
  },
};
const NAMES: DriverName[] = ['viostor', 'vioscsi', 'NetKVM', 'Balloon', 'vioserial'];

/** SYSTEM and Administrators: full; users: read and execute; nothing from above. Folders pass it on. */
const SECURITY = {
  file: /^01000490.{32}02004c000300000000001400ff011f00/,
  directory: /^01000490.{32}02004c000300000000031400ff011f00/,
};

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'h2k-windows-drivers-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe.each(Object.entries(CASES))('%s with a virtio-win', (name, { recipe, os, architecture }) => {
  const id = `g${Object.keys(CASES).indexOf(name)}`;
  const packages: Record<string, PackageFiles> = {};
  let disk: string;
  let report: Report;

  beforeAll(async () => {
    const source = join(directory, id);
    const virtioWin = join(directory, `${id}-virtio-win`);
    for (const path of [source, virtioWin]) mkdirSync(path);
    const signers = makeSigners();
    for (const driver of NAMES) {
      packages[driver] = driverPackage(driver, architecture, signers.publisher);
      writePackage(virtioWin, `${driver}/${os}/${architecture}`, packages[driver]);
    }
    await makeWindowsDisk(recipe, join(source, `${id}.raw`));
    const output = join(directory, `${id}-out`);
    const set = ['validate.enabled=false', `windows.virtio_win=${virtioWin}`];
    const args = [
      'convert',
      join(source, `${id}.raw`),
      '-o',
      output,
      ...set.flatMap((pair) => ['--set', pair]),
    ];
    const { code, err } = await cli(args);
    expect(err).not.toMatch(/failed/i);
    expect(code).toBe(0);
    report = JSON.parse(await readFile(join(output, id, 'report.json'), 'utf8')) as Report;
    disk = join(output, id, `${id}-disk0.qcow2`);
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
    const paths = ['/Windows/System32/config/SYSTEM', `${DRIVERS}/VioStor.sys`, `${DRIVERS}/vioscsi.sys`];
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
    const virtioWin = join(directory, `${id}-virtio-win`);
    const { code, out } = await cli(['plan', disk, '--json', '--set', `windows.virtio_win=${virtioWin}`]);
    expect(code).toBe(0);
    expect((JSON.parse(out) as { operations: unknown[] }).operations).toEqual([]);
  });
});
