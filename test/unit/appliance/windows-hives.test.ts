import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { editHive } from '../../../src/appliance/hive-editor.js';
import type { HiveEdit } from '../../../src/guest/registry/captured.js';
import { openHive } from '../../../src/guest/registry/hive.js';
import { executeOperations } from '../../../src/operations/execute-operations.js';
import { memoryWriter } from '../access/memory-writer.js';
import { bulkKeys } from '../families/windows/bulk-keys.js';
import { hiveLines } from '../families/windows/hive-lines.js';
import { rootFiles, type WindowsRecipe } from '../families/windows/make-windows.js';
import { planWindows } from '../families/windows/plan-windows.js';
import { SYSTEMS } from '../families/windows/systems.js';
import { WINDOWS_7_ON_VMWARE, WINDOWS_10_ON_VMWARE } from '../families/windows/vmware-facts.js';
import { hivexSession, hostReader, hostRewrite } from './hivex.js';

const SYSTEM = '/Windows/System32/config/SYSTEM';

/** The SYSTEM hive before, and the file with what FIX makes of it, by libhivex itself. */
async function fixed({ recipe }: { recipe: WindowsRecipe }, facts: WindowsRecipe['system'], devices: number) {
  const directory = mkdtempSync(join(tmpdir(), 'h2k-hive-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const whole = { ...recipe, system: { ...recipe.system, ...facts, ...bulkKeys(devices) } };
  const before = rootFiles(whole)[SYSTEM] as Buffer;
  const file = join(directory, 'SYSTEM');
  writeFileSync(file, before);
  const { plan } = await planWindows(whole);
  const operations = plan.operations.filter(
    ({ op, ...more }) => op === 'registry' && 'path' in more && more.path === SYSTEM,
  );
  const { session, calls } = hivexSession();
  const hive = { session, reader: hostReader(), rewrite: hostRewrite };
  const guest = memoryWriter({ [SYSTEM]: before });
  const writer = {
    ...guest,
    async editHive(_: string, edits: readonly HiveEdit[]) {
      await editHive(hive, file, edits);
      guest.files.set(SYSTEM, readFileSync(file));
    },
  };
  await executeOperations(writer, operations, { signal: new AbortController().signal, listings: {} });
  return { before, file, calls, operations };
}

const values = (file: string, key: string): string[] =>
  execFileSync('hivexget', [file, key]).toString().split('\n');

it('a hive of a Windows 10 has the planned values, and nothing else is changed', async () => {
  const system = SYSTEMS['Windows 10 x64 on BIOS, an e1000e by DHCP']!;
  const { before, file, calls, operations } = await fixed(system, WINDOWS_10_ON_VMWARE, 400);
  const set = 'ControlSet001';
  for (const name of ['storahci', 'stornvme', 'intelide', 'vmbus'])
    expect(values(file, `${set}\\Services\\${name}`)).toContain('"Start"=dword:00000000');
  for (const name of ['vmci', 'vsock', 'VMTools', 'VMUsbMouse', 'VMwareCAFCommAmqpListener'])
    expect(values(file, `${set}\\Services\\${name}`)).toContain('"Start"=dword:00000004');
  expect(values(file, `${set}\\Control\\CrashControl`)).toContain('"AutoReboot"=dword:00000000');
  const [old, now] = [hiveLines(openHive(before).root), hiveLines(openHive(readFileSync(file)).root)];
  expect(old.size).toBeGreaterThan(4_000);
  const different = [...new Set([...old.keys(), ...now.keys()])].filter(
    (path) => old.get(path) !== now.get(path),
  );
  const planned = operations.flatMap((operation) =>
    operation.op === 'registry' ? operation.changes.map(({ key }) => key) : [],
  );
  // Keys on the way to a new one are new, too.
  const isPlanned = (path: string) => planned.some((key) => key === path || key.startsWith(`${path}\\`));
  expect(different.filter((path) => !isPlanned(path))).toEqual([]);
  expect(new Set(different).size).toBeGreaterThanOrEqual(new Set(planned).size);
  // Opened and written once, for all fixers.
  expect(calls.filter((call) => call === 'hivex_commit')).toHaveLength(1);
});

it('a hive of a Windows 7 loses VMware’s filters, and has its own', async () => {
  const system = SYSTEMS['Windows 7 x86, two e1000 with static addresses']!;
  const { file } = await fixed(system, WINDOWS_7_ON_VMWARE, 10);
  const set = 'ControlSet001';
  for (const name of ['msahci', 'pciide'])
    expect(values(file, `${set}\\Services\\${name}`)).toContain('"Start"=dword:00000000');
  for (const key of ['Enum\\ACPI\\PNP0F03\\4&1D401FB5&0', 'Control\\CriticalDeviceDatabase\\*PNP0F03']) {
    expect(values(file, `${set}\\${key}`)).toContain('"Service"="i8042prt"');
    expect(values(file, `${set}\\${key}`).join()).not.toContain('UpperFilters');
  }
  expect(values(file, `${set}\\Control\\Class\\{4d36e96f-e325-11ce-bfc1-08002be10318}`)).toContain(
    '"UpperFilters"=hex(7):6d,00,6f,00,75,00,63,00,6c,00,61,00,73,00,73,00,00,00,00,00',
  );
});
