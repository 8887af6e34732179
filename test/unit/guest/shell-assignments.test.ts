import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mapAssignments, shellAssignments } from '../../../src/guest/shell-assignments.js';

const values = (text: string) =>
  shellAssignments(text).map(({ name, start, end }) => [name, text.slice(start, end)]);

describe('shellAssignments', () => {
  it.each<[string, string[][]]>([
    ['A="x y"   # set by ops\n', [['A', 'x y']]],
    [
      "A='x y'#no comment\nB=1",
      [
        ['A', "'x y'#no"],
        ['B', '1'],
      ],
    ],
    [
      'A="x \\\n y"\nB=2\n',
      [
        ['A', 'x \\\n y'],
        ['B', '2'],
      ],
    ],
    [
      'A="x\ny"\nB=2\n',
      [
        ['A', 'x\ny'],
        ['B', '2'],
      ],
    ],
    ['A="x" B=2\n', [['A', 'x']]],
    [
      'A="x";B=2\n  export C=3',
      [
        ['A', 'x'],
        ['B', '2'],
        ['C', '3'],
      ],
    ],
    ['A+=" x "\n', [['A', ' x ']]],
    ['A="$A x" # A="y"\n#A="z"\n', [['A', '$A x']]],
    ['A="x"y"z"\n', [['A', '"x"y"z"']]],
    [
      'A="say \\"x\\""\nB=\n',
      [
        ['A', 'say \\"x\\"'],
        ['B', ''],
      ],
    ],
    ['A=x\\ y\n', [['A', 'x\\ y']]],
    ['A="open\nB=1\n', [['A', '"open\nB=1\n']]],
    ['if [ x = y ]; then\nA=1\nfi\n A = 2\n', [['A', '1']]],
  ])('reads %j', (text, expected) => {
    expect(values(text)).toEqual(expected);
  });

  it('tells what is appended, and the quotes', () => {
    expect(shellAssignments(`A+='x'`)).toMatchObject([{ appends: true, quote: "'" }]);
    expect(shellAssignments('A=x')).toMatchObject([{ appends: false, quote: '' }]);
  });

  it('reads any text, in order and without an overlap', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 300 }), (text) => {
        let last = 0;
        for (const { start, end } of shellAssignments(text)) {
          expect(start).toBeGreaterThanOrEqual(last);
          expect(end).toBeGreaterThanOrEqual(start);
          last = end;
        }
      }),
    );
  });

  it('takes time in proportion to the text', () => {
    const started = performance.now();
    shellAssignments(`${'A="x\\'.repeat(200_000)}\n${' '.repeat(500_000)}`);
    expect(performance.now() - started).toBeLessThan(3000);
  });
});

it('mapAssignments changes values only', () => {
  const text = 'A="x \\\n y"   # x\nB=x\n#B=x\n';
  expect(mapAssignments(text, (_, value) => value.replace('x', 'z'))).toBe('A="z \\\n y"   # x\nB=z\n#B=x\n');
});
