import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openHive } from '../../src/guest/registry/hive.js';
import type { Report } from '../../src/report/report.js';
import { run } from '../../src/tools/run.js';
import { cli } from '../integration/support/cli.js';
import { bulkKeys } from '../unit/families/windows/bulk-keys.js';
import { hiveLines } from '../unit/families/windows/hive-lines.js';
import { rootFiles, type WindowsRecipe } from '../unit/families/windows/make-windows.js';
import { SYSTEMS } from '../unit/families/windows/systems.js';
import { WINDOWS_7_ON_VMWARE, WINDOWS_10_ON_VMWARE } from '../unit/families/windows/vmware-facts.js';
import { makeWindowsDisk, readVolume, readWindowsDisk } from './windows-disk.js';

const SYSTEM = '/Windows/System32/config/SYSTEM';
const SOFTWARE = '/Windows/System32/config/SOFTWARE';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'h2k-windows-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const recipeOf = (name: string, system: WindowsRecipe['system'], devices: number): WindowsRecipe => {
  const { recipe } = SYSTEMS[name]!;
  return { ...recipe, system: { ...recipe.system, ...system, ...bulkKeys(devices) } };
};

interface Golden {
  recipe: WindowsRecipe;
  journal?: 'unclean';
  identity: Record<string, unknown>;
  /** After the conversion, as hivexget prints them; null: the key is gone. Below the control set. */
  system: Record<string, readonly string[] | null>;
}

const OFF = ['"Start"=dword:00000004'];
const BOOT = ['"Start"=dword:00000000'];
const FIRST_BOOT = {
  'Control\\CrashControl': ['"AutoReboot"=dword:00000000'],
  'Services\\partmgr\\Parameters': ['"SanPolicy"=dword:00000001'],
};

/** Written from what Windows needs, not from what the product plans. */
const GUESTS: Record<string, Golden> = {
  'Windows 7 x86 on BIOS': {
    recipe: recipeOf('Windows 7 x86, two e1000 with static addresses', WINDOWS_7_ON_VMWARE, 100),
    identity: { os_version: '7', architecture: 'i386', firmware: 'bios', build: 7601 },
    system: {
      ...FIRST_BOOT,
      'Services\\msahci': BOOT,
      'Services\\pciide': BOOT,
      'Services\\VMTools': OFF,
      'Services\\vmmouse': OFF,
      'Services\\VMMEMCTL': OFF,
      'Services\\vmbus': BOOT,
      'Enum\\ACPI\\PNP0F03\\4&1D401FB5&0': ['"Service"="i8042prt"'],
    },
  },
  'Windows 10 x64 on BIOS, not shut down, with a SYSTEM hive of real size': {
    journal: 'unclean',
    recipe: recipeOf('Windows 10 x64 on BIOS, an e1000e by DHCP', WINDOWS_10_ON_VMWARE, 2000),
    identity: { os_version: '10', architecture: 'x86_64', firmware: 'bios', vmware_tools: 'msi' },
    system: {
      ...FIRST_BOOT,
      'Services\\storahci': BOOT,
      'Services\\storahci\\StartOverride': null,
      'Services\\stornvme': BOOT,
      'Services\\stornvme\\StartOverride': null,
      'Services\\intelide': BOOT,
      'Services\\vmbus': BOOT,
      'Services\\vmbus\\StartOverride': ['"0"=dword:00000003'],
      'Services\\vmci': OFF,
      'Services\\vsock': OFF,
      'Services\\VMUsbMouse': OFF,
      'Services\\VMwareCAFCommAmqpListener': OFF,
      'Control\\NetworkProvider\\Order': ['"ProviderOrder"="P9NP,RDPNP,LanmanWorkstation,webclient"'],
      'Control\\Class\\{4d36e96f-e325-11ce-bfc1-08002be10318}': [
        // "mouclass" alone.
        '"UpperFilters"=hex(7):6d,00,6f,00,75,00,63,00,6c,00,61,00,73,00,73,00,00,00,00,00',
      ],
    },
  },
  'Windows 11 on UEFI, in its second control set': {
    recipe: recipeOf('Windows 11 on UEFI, which calls itself 10', WINDOWS_10_ON_VMWARE, 100),
    identity: { os_version: '11', firmware: 'uefi', control_set: 2, bootloader: 'bootmgr' },
    system: { ...FIRST_BOOT, 'Services\\storahci': BOOT, 'Services\\VMTools': OFF },
  },
};

describe.each(Object.entries(GUESTS))('%s', (name, { recipe, journal, identity, system }) => {
  const id = `g${Object.keys(GUESTS).indexOf(name)}`;
  const set = `ControlSet00${recipe.controlSet ?? 1}`;
  let report: Report;
  let hives: [system: Buffer, software: Buffer];
  let disk: string;

  beforeAll(async () => {
    const source = join(directory, id);
    await mkdir(source);
    await makeWindowsDisk(recipe, join(source, `${id}.raw`), journal);
    const output = join(directory, `${id}-out`);
    const args = ['convert', join(source, `${id}.raw`), '-o', output, '--set', 'validate.enabled=false'];
    const { code, err } = await cli(args);
    expect(err).not.toMatch(/failed/i);
    expect(code).toBe(0);
    report = JSON.parse(await readFile(join(output, id, 'report.json'), 'utf8')) as Report;
    disk = join(output, id, `${id}-disk0.qcow2`);
    const [first, second] = await readWindowsDisk(disk, recipe.firmware, [SYSTEM, SOFTWARE]);
    hives = [first!, second!];
  });

  it('is identified', () => expect(report.identity).toMatchObject(identity));

  it('is checked by Windows at its next start if its journal was unfinished, which is empty now', async () => {
    const { dirty, journalHead } = await readVolume(disk, recipe.firmware);
    const codes = report.warnings.map(({ code }) => code);
    expect(dirty).toBe(journal === 'unclean');
    expect(codes.includes('inspect.dirty-volume')).toBe(journal === 'unclean');
    expect(journalHead.every((byte) => byte === 0xff)).toBe(true);
  });

  it('has the values that Windows needs, by another reader', async () => {
    const file = join(directory, `${id}-SYSTEM`);
    await writeFile(file, hives[0]);
    for (const [path, expected] of Object.entries(system)) {
      const { code, stdout } = await run('hivexget', [file, `${set}\\${path}`], {
        okCodes: [0, 1],
      });
      const lines = stdout.toString().split('\n');
      if (expected === null) expect([path, code]).toEqual([path, 1]);
      else expect([path, lines]).toEqual([path, expect.arrayContaining([...expected])]);
    }
    const software = join(directory, `${id}-SOFTWARE`);
    await writeFile(software, hives[1]);
    const { stdout } = await run('hivexget', [software, 'Microsoft\\Windows\\CurrentVersion', 'DevicePath']);
    expect(stdout.toString().trim()).toBe('%SystemRoot%\\inf;%SystemRoot%\\Drivers\\VirtIO');
  });

  it('has all else as before: only keys that the plan names differ', () => {
    const before = hiveLines(openHive(rootFiles(recipe)[SYSTEM] as Buffer).root);
    const after = hiveLines(openHive(hives[0]).root);
    const different = [...new Set([...before.keys(), ...after.keys()])].filter(
      (path) => before.get(path) !== after.get(path),
    );
    const planned = new RegExp(
      `^${set}\\\\(?:services\\\\|enum\\\\acpi\\\\|control\\\\(?:crashcontrol|networkprovider|class|criticaldevicedatabase)\\b)`,
      'i',
    );
    expect(different.length).toBeGreaterThan(5);
    expect(different.filter((path) => !planned.test(path))).toEqual([]);
  });

  it('is not changed by a second conversion', async () => {
    const { code, out } = await cli(['plan', disk, '--json']);
    expect(code).toBe(0);
    const { operations } = JSON.parse(out) as { operations: unknown[] };
    expect(operations).toEqual([]);
  });
});
