import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { editHive } from '../../../src/appliance/hive-editor.js';
import type { HiveEdit } from '../../../src/guest/registry/captured.js';
import { openHive } from '../../../src/guest/registry/hive.js';
import { printKey } from '../../../src/guest/registry/print.js';
import { recoverHive } from '../../../src/guest/registry/recover.js';
import { hiveOf, type Keys } from '../families/windows/make-windows.js';
import { dword, multiSz, sealBaseBlock, sz } from '../guest/registry/make-hive.js';
import { entriesLog } from '../guest/registry/make-log.js';
import { hivexSession, hostReader, hostRewrite } from './hivex.js';

const SERVICES = 'ControlSet001\\Services';
const KEYS: Keys = {
  Select: [dword('Current', 1)],
  [`${SERVICES}\\stornvme`]: [dword('Start', 3), sz('Group', 'SCSI miniport')],
  [`${SERVICES}\\stornvme\\StartOverride`]: [dword('0', 3)],
  'ControlSet001\\Control\\Class\\{m}': [sz('Class', 'Mouse'), multiSz('UpperFilters', ['vmmouse'])],
  'ControlSet001\\Control\\Class\\{k}': [multiSz('UpperFilters', ['vmkbd'])],
};

function place(files: Record<string, Buffer>): string {
  const directory = mkdtempSync(join(tmpdir(), 'h2k-hive-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(directory, name), bytes);
  return join(directory, 'SYSTEM');
}

const edit = async (path: string, edits: readonly HiveEdit[]) => {
  const { session, calls } = hivexSession();
  await editHive({ session, reader: hostReader(), rewrite: hostRewrite }, path, edits);
  return calls;
};
const printed = (bytes: Buffer) => printKey(openHive(bytes).root, 'SYSTEM');
const set = (key: string, name: string, number: number): HiveEdit => {
  const data = Buffer.alloc(4);
  data.writeUInt32LE(number);
  return { edit: 'set', key, name, type: 4, data: data.toString('hex') };
};

const EDITS: HiveEdit[] = [
  set(`${SERVICES}\\STORNVME`, 'start', 0),
  set(`${SERVICES}\\viostor`, 'Start', 0),
  set(`${SERVICES}\\viostor\\Parameters`, 'BusType', 1),
  { edit: 'delete-key', key: `${SERVICES}\\stornvme\\StartOverride` },
  { edit: 'delete-value', key: 'ControlSet001\\Control\\Class\\{M}', name: 'upperfilters' },
  { edit: 'delete-value', key: 'ControlSet001\\Control\\Class\\{k}', name: 'UpperFilters' },
  { edit: 'delete-value', key: `${SERVICES}\\none`, name: 'UpperFilters' },
];

it('sets values and deletes values and keys in place, with hivex, and reads back what was wanted', async () => {
  const path = place({ SYSTEM: hiveOf(KEYS) });
  const { ino } = statSync(path);
  const calls = await edit(path, EDITS);
  expect(statSync(path).ino).toBe(ino);
  const wanted: Keys = {
    Select: [dword('Current', 1)],
    [`${SERVICES}\\stornvme`]: [dword('start', 0), sz('Group', 'SCSI miniport')],
    [`${SERVICES}\\viostor`]: [dword('Start', 0)],
    [`${SERVICES}\\viostor\\Parameters`]: [dword('BusType', 1)],
    'ControlSet001\\Control\\Class\\{m}': [sz('Class', 'Mouse')],
    'ControlSet001\\Control\\Class\\{k}': [],
  };
  const after = readFileSync(path);
  expect(printed(after)).toBe(printed(hiveOf(wanted)));
  expect(recoverHive(after, []).recovered).toBeNull();
  // Each takes an appliance without KVM up to 0.3 s.
  expect(calls.length).toBeLessThan(20);
});

it('asks for each key once', async () => {
  const path = place({ SYSTEM: hiveOf(KEYS) });
  const values = Array.from({ length: 50 }, (_, index) => set(`${SERVICES}\\viostor`, `v${index}`, index));
  const calls = await edit(path, values);
  expect(calls.filter((name) => name === 'hivex_node_get_child')).toHaveLength(3);
});

it('first writes what the logs of a live hive add', async () => {
  const before = hiveOf(KEYS);
  const late = hiveOf({ ...KEYS, 'ControlSet001\\Control\\Late': [dword('x', 1)] });
  const live = Buffer.from(before);
  live.writeUInt32LE(2, 4);
  sealBaseBlock(live);
  const path = place({
    SYSTEM: live,
    'System.log1': entriesLog([before, late], { sequence: 1 }),
  });
  await edit(path, [set(`${SERVICES}\\viostor`, 'Start', 0)]);
  const root = openHive(readFileSync(path)).root;
  expect(root.key('ControlSet001\\Control\\Late')?.number('x')).toBe(1);
  expect(root.key(`${SERVICES}\\viostor`)?.number('Start')).toBe(0);
});

it('writes nothing to a hive that cannot be completed', async () => {
  const live = Buffer.from(hiveOf(KEYS));
  live.writeUInt32LE(2, 4);
  sealBaseBlock(live);
  const path = place({ SYSTEM: live });
  await expect(edit(path, EDITS)).rejects.toMatchObject({ code: 'guest.hive-dirty' });
  expect(readFileSync(path).equals(live)).toBe(true);
});
