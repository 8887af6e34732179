import fc from 'fast-check';
import { parse } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { nearestPlace, tomlPositions } from '../../../src/config/toml-position.js';

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

  it('finds elements of arrays, and quoted keys by what they mean', () => {
    const text = 'a = [\n  "x", # one\n  [1, 2],\r\n  { b = 1 },\n]\n"k\\u0065y"."o.p" = 1\n';
    parse(text);
    const positions = tomlPositions(text);
    expect(positions.get('a.0')).toEqual({ line: 2, column: 3 });
    expect(positions.get('a.1.1')).toEqual({ line: 3, column: 7 });
    expect(positions.get('a.2')).toEqual({ line: 4, column: 3 });
    expect(positions.get('a.2.b')).toEqual({ line: 4, column: 5 });
    expect(positions.get('key.o.p')).toEqual({ line: 6, column: 1 });
  });

  it('gives positions of every text that smol-toml reads', () => {
    const word = fc.string({ unit: fc.constantFrom(...'ab1'), minLength: 1 });
    const value = fc.constantFrom(
      '1',
      '"# [x]"',
      "'''m\nn'''",
      '[1, [2],\n 3]',
      '{ a = 1, b = {} }',
      '{ a = 1,\n }',
    );
    const line = fc.oneof(
      fc.tuple(word, value).map(([key, written]) => `${key} = ${written}`),
      word.map((key) => `[${key}]`),
      word.map((key) => ` [[ "${key}" ]] # why`),
    );
    fc.assert(
      fc.property(fc.array(line), fc.constantFrom('\n', '\r\n'), (lines, end) => {
        const text = lines.join(end);
        fc.pre(isToml(text));
        const positions = tomlPositions(text);
        for (const key of Object.keys(parse(text))) expect(positions.has(key)).toBe(true);
      }),
    );
  });

  it('gives none, and no exception, of what is no TOML', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'[]{}"\'=.,#\\\n ab1') }), (text) => {
        expect(tomlPositions(text).size > 0).toBe(isToml(text) && text.replace(/#.*/g, '').trim() !== '');
      }),
    );
    expect(tomlPositions(`x = ${'['.repeat(60_000)}`).size).toBe(0);
  });
});

describe('nearestPlace', () => {
  it('of a missing key is that of the table or array above it', () => {
    const positions = tomlPositions('[[guest.luks]]\ndevice = "/dev/sda3"\n');
    expect(nearestPlace(positions, 'guest.luks.0.device')).toEqual({ line: 2, column: 1 });
    expect(nearestPlace(positions, 'guest.luks.0.key_file')).toEqual({ line: 1, column: 3 });
    expect(nearestPlace(positions, 'watch.polling')).toBeNull();
  });
});

function isToml(text: string): boolean {
  try {
    parse(text);
    return true;
  } catch {
    return false;
  }
}
