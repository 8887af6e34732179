import fc from 'fast-check';
import { parse } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { tomlPositions } from '../../../src/config/toml-position.js';

describe('tomlPositions', () => {
  it('finds keys of tables, dotted keys, quoted keys and inline tables', () => {
    const text = [
      '# comment [not.a.table]',
      'a.b = "x = 1 # no comment"',
      '[watch]',
      '  settle_seconds = 3 # why',
      '"quoted key" = [1, { deep = """',
      'fake = 1',
      '""" }, 3]',
      '[[notify]]',
      "url = 'it'",
      '[[notify]]',
      'vm = { name = "n", memory = 5 }',
    ].join('\n');
    parse(text);
    const positions = tomlPositions(text);
    expect(positions.get('a.b')).toEqual({ line: 2, column: 1 });
    expect(positions.get('watch')).toEqual({ line: 3, column: 2 });
    expect(positions.get('watch.settle_seconds')).toEqual({ line: 4, column: 3 });
    expect(positions.get('watch.quoted key.1.deep')).toEqual({ line: 5, column: 22 });
    expect(positions.get('notify.0.url')).toEqual({ line: 9, column: 1 });
    expect(positions.get('notify.1.vm.memory')).toEqual({ line: 11, column: 20 });
    expect([...positions.keys()].filter((key) => key.includes('fake'))).toEqual([]);
  });

  it('ends on any text, TOML or not', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'[]{}"\'=.,#\\\n ab1') }), (text) => {
        tomlPositions(text);
      }),
    );
  });
});
