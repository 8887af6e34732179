import { describe, expect, it } from 'vitest';
import { withoutValues } from '../../../../src/guest/registry/delete-values.js';
import { openHive } from '../../../../src/guest/registry/hive.js';
import { executeOperations } from '../../../../src/operations/execute-operations.js';
import { memoryWriter } from '../../access/memory-writer.js';
import { makeHive, sz } from './make-hive.js';

const COUNT = 20_000;
const PATH = '/SYSTEM';
const names = Array.from({ length: COUNT }, (_, index) => `K${index}`);

/** One key with very many below it, in one list without hashes of their names, as a hostile guest may have. */
const hive = (values: readonly string[]) =>
  makeHive(
    {
      name: 'ROOT',
      keys: [{ name: 'Enum', keys: names.map((name) => ({ name, values: values.map((v) => sz(v, 'x')) })) }],
    },
    { minorVersion: 4, leafKeys: 500 },
  );

describe('a hive with very many keys', () => {
  it('loses many values in the time of a few walks', { timeout: 20_000 }, () => {
    const gone = names.map((name) => ({ key: `enum\\${name.toLowerCase()}`, name: 'UPPERFILTERS' }));
    const left = openHive(withoutValues(hive(['UpperFilters', 'Service']), gone));
    const values = [...(left.key('Enum')?.subkeys() ?? [])].map((key) =>
      [...key.values()].map(({ name }) => name),
    );
    expect(values).toHaveLength(COUNT);
    expect(new Set(values.map((list) => list.join()))).toEqual(new Set(['Service']));
  });

  it('is proved in the time of a few walks', { timeout: 20_000 }, async () => {
    const writer = { ...memoryWriter({ [PATH]: hive(['Service']) }), editHive: async () => undefined };
    const changes = names.map((name) => ({
      ...{ change: 'delete-value' as const, key: `Enum\\${name}`, name: 'UpperFilters' },
      before: { type: 1, data: '' },
    }));
    const operation = { op: 'registry' as const, fixer: 'filters', reason: 'none', path: PATH, changes };
    const context = { signal: new AbortController().signal, listings: {} };
    await expect(executeOperations(writer, [operation], context)).resolves.toHaveLength(1);
  });
});

describe('a key of many names', () => {
  it('loses only the values that are meant, in any case, and is without a list when none is left', () => {
    const bytes = makeHive({
      name: 'ROOT',
      keys: [
        { name: 'A', values: [sz('One', '1'), sz('Two', '2'), sz('Three', '3')] },
        { name: 'B', values: [sz('One', '1')] },
      ],
    });
    const left = openHive(
      withoutValues(bytes, [
        { key: 'a', name: 'ONE' },
        { key: 'A', name: 'three' },
        { key: 'A', name: 'four' },
        { key: 'B', name: 'One' },
        { key: 'C', name: 'One' },
      ]),
    );
    expect([...(left.key('A')?.values() ?? [])].map(({ name }) => name)).toEqual(['Two']);
    expect([...(left.key('B')?.values() ?? [])]).toEqual([]);
  });
});
