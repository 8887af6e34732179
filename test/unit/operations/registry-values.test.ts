import { describe, expect, it } from 'vitest';
import { capturedValue } from '../../../src/guest/registry/captured.js';
import { applyOperations } from '../../../src/operations/apply-operations.js';
import { executeOperations } from '../../../src/operations/execute-operations.js';
import { type RegistryValues, registryValues } from '../../../src/operations/registry-values.js';
import { planDiff } from '../../../src/stages/plan/plan-diff.js';
import { memoryWriter } from '../access/memory-writer.js';
import { guestOf } from '../families/guests.js';
import { hiveOf } from '../families/windows/make-windows.js';
import { dword, multiSz, sz } from '../guest/registry/make-hive.js';

const PATH = '/Windows/System32/config/SYSTEM';
const SERVICES = 'ControlSet001\\Services';
const dwordOf = (data: string) => ({ type: 4, data });
const FILTERS = { type: 7, data: multiSz('', ['vmmouse']).data.toString('hex') };
const OPERATION: RegistryValues = {
  op: 'registry',
  fixer: 'storage',
  reason: 'the boot driver starts with Windows',
  path: PATH,
  changes: [
    { change: 'set', key: `${SERVICES}\\viostor`, name: 'Start', before: null, after: dwordOf('00000000') },
    {
      change: 'set',
      key: `${SERVICES}\\stornvme`,
      name: 'Start',
      before: dwordOf('03000000'),
      after: dwordOf('00000000'),
    },
    { change: 'delete-key', key: `${SERVICES}\\stornvme\\StartOverride` },
    {
      change: 'delete-value',
      key: 'ControlSet001\\Control\\Class\\{m}',
      name: 'UpperFilters',
      before: FILTERS,
    },
  ],
};
const DONE = {
  [`${SERVICES}\\viostor`]: [dword('Start', 0)],
  [`${SERVICES}\\stornvme`]: [dword('Start', 0)],
  'ControlSet001\\Control\\Class\\{m}': [sz('Class', 'Mouse')],
};

describe('plan.diff', () => {
  it('shows registry changes as regedit writes them', () => {
    expect(planDiff({ operations: [OPERATION], warnings: [] })).toBe(
      [
        '# storage: the boot driver starts with Windows',
        `--- a${PATH}`,
        `+++ b${PATH}`,
        '@@ -1,10 +1,11 @@',
        ` [${SERVICES}\\viostor]`,
        '+"Start"=dword:00000000',
        ' ',
        ` [${SERVICES}\\stornvme]`,
        '-"Start"=dword:00000003',
        '+"Start"=dword:00000000',
        ' ',
        ` [${SERVICES}\\stornvme\\StartOverride]`,
        '+; the key is deleted',
        ' ',
        ' [ControlSet001\\Control\\Class\\{m}]',
        '-"UpperFilters"=multi_sz:"vmmouse"',
        ' ',
        '',
      ].join('\n'),
    );
  });

  it('shows each of two operations on one hive', () => {
    const [viostor, stornvme] = OPERATION.changes.map((change) => ({ ...OPERATION, changes: [change] }));
    const diff = planDiff({ operations: [viostor!, stornvme!], warnings: [] });
    expect(diff.match(/^ \[.*\]$/gm)).toEqual([` [${SERVICES}\\viostor]`, ` [${SERVICES}\\stornvme]`]);
    expect(diff.match(/^[+-]"Start".*$/gm)).toHaveLength(3);
  });

  it('keeps one line of a key that a guest has named with a line break', () => {
    const change = { change: 'delete-key', key: 'Enum\\a\n+"forged"=dword:1' } as const;
    const diff = planDiff({ operations: [{ ...OPERATION, changes: [change] }], warnings: [] });
    expect(diff.split('\n').filter((line) => line.startsWith('+"forged"'))).toEqual([]);
  });
});

it('changes the guest as PLAN knows it, so that a second plan finds it done', () => {
  const hive = {
    path: PATH,
    recovered: null,
    keys: [
      { path: 'ControlSet001\\Control\\Class\\{m}', values: [{ name: 'UpperFilters', ...FILTERS }] },
      { path: `${SERVICES}\\stornvme`, values: [{ name: 'Start', ...dwordOf('03000000') }] },
      { path: `${SERVICES}\\stornvme\\StartOverride`, values: [{ name: '0', ...dwordOf('03000000') }] },
    ],
  };
  const other = { ...hive, path: '/Windows/System32/config/SOFTWARE' };
  const guest = { ...guestOf({}), registry: [hive, other] };
  const [after, untouched] = applyOperations(guest, [OPERATION]).registry;
  expect(untouched).toEqual(other);
  expect(after?.keys).toEqual([
    { path: 'ControlSet001\\Control\\Class\\{m}', values: [] },
    { path: `${SERVICES}\\stornvme`, values: [{ name: 'Start', ...dwordOf('00000000') }] },
    { path: `${SERVICES}\\viostor`, values: [{ name: 'Start', ...dwordOf('00000000') }] },
  ]);
  expect(capturedValue(after!, `${SERVICES}\\VIOSTOR`, 'start')?.data).toBe('00000000');
  expect(guest.registry[0]).toEqual(hive);
});

describe('after writing, the hive is read back', () => {
  const context = { signal: new AbortController().signal, listings: {} };
  /** A guest whose hive has these keys once it was edited. */
  const executed = (keys: Parameters<typeof hiveOf>[0], operation = OPERATION) => {
    const guest = memoryWriter({ [PATH]: hiveOf({}) });
    const writer = { ...guest, editHive: async () => void guest.files.set(PATH, hiveOf(keys)) };
    return registryValues.execute(writer, operation, context);
  };

  it('and proven', async () => {
    expect(await executed(DONE)).toEqual([`4 registry changes in ${PATH} read back as planned`]);
  });

  it.each([
    ['a value is missing', { ...DONE, [`${SERVICES}\\viostor`]: [] }],
    ['a value is another', { ...DONE, [`${SERVICES}\\stornvme`]: [dword('Start', 3)] }],
    ['a type is another', { ...DONE, [`${SERVICES}\\stornvme`]: [{ ...dword('Start', 0), type: 3 }] }],
    ['a key is still there', { ...DONE, [`${SERVICES}\\stornvme\\StartOverride`]: [] }],
    [
      'a deleted value is still there',
      { ...DONE, 'ControlSet001\\Control\\Class\\{m}': [multiSz('UPPERFILTERS', ['vmmouse'])] },
    ],
  ])('and refused where %s', async (_, keys) => {
    await expect(executed(keys)).rejects.toMatchObject({ code: 'fix.unproven' });
  });

  it('by the last change of each value', async () => {
    const [first] = OPERATION.changes;
    const again = { ...first!, after: dwordOf('04000000') } as (typeof OPERATION.changes)[number];
    const operation = { ...OPERATION, changes: [first!, again] };
    await expect(executed(DONE, operation)).rejects.toMatchObject({ code: 'fix.unproven' });
    const keys = { [`${SERVICES}\\viostor`]: [dword('Start', 4)] };
    expect(await executed(keys, operation)).toHaveLength(1);
  });
});

describe('several operations in a row on one hive', () => {
  const context = { signal: new AbortController().signal, listings: {} };
  const change = (name: string, data: string, path = PATH): RegistryValues => ({
    ...OPERATION,
    path,
    changes: [{ change: 'set', key: SERVICES, name, before: null, after: dwordOf(data) }],
  });
  /** The hive edits that FIX makes, each with the values that it sets. */
  const editsOf = async (operations: readonly RegistryValues[]) => {
    const files = [...new Set(operations.map(({ path }) => path))];
    const guest = memoryWriter(Object.fromEntries(files.map((path) => [path, hiveOf({})])));
    const edits: [path: string, names: string[]][] = [];
    const values = new Map<string, ReturnType<typeof dword>[]>();
    const editHive: typeof guest.editHive = async (path, changes) => {
      const made = changes.flatMap((edit) =>
        edit.edit === 'set'
          ? [{ name: edit.name, type: edit.type, data: Buffer.from(edit.data, 'hex') }]
          : [],
      );
      const names = new Set(made.map(({ name }) => name.toUpperCase()));
      const kept = (values.get(path) ?? []).filter(({ name }) => !names.has(name.toUpperCase()));
      values.set(path, [...kept, ...made]);
      guest.files.set(path, hiveOf({ [SERVICES]: values.get(path)! }));
      edits.push([path, made.map(({ name }) => name)]);
    };
    const steps: number[] = [];
    const onStep = (done: number) => void steps.push(done);
    await executeOperations({ ...guest, editHive }, operations, { ...context, onStep });
    return { edits, steps };
  };

  it('are written at once', async () => {
    const other = '/Windows/System32/config/SOFTWARE';
    const operations = [change('a', '00000000'), change('b', '00000000'), change('c', '00000000', other)];
    expect(await editsOf([...operations, change('d', '00000000')])).toEqual({
      edits: [
        [PATH, ['a', 'b']],
        [other, ['c']],
        [PATH, ['d']],
      ],
      steps: [0, 2, 3],
    });
  });

  it('are written one after the other where they change the same value', async () => {
    const { edits } = await editsOf([change('a', '00000000'), change('A', '01000000')]);
    expect(edits).toEqual([
      [PATH, ['a']],
      [PATH, ['A']],
    ]);
  });
});
