import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { diffText } from '../../../src/text/escape-diff.js';
import { markupText } from '../../../src/text/escape-markup.js';
import { printable, terminalLine, terminalText } from '../../../src/text/escape-terminal.js';
import { markup } from '../../../src/text/markup.js';

describe('terminalText', () => {
  test.each([
    ['\u001b[2J', '\\x1b[2J'],
    ['a\nb\r\tc', 'a\\nb\\r\\tc'],
    ['\u009b31m', '\\x9b31m'],
    ['invoice\u202egpj.vmdk', 'invoice\\u202egpj.vmdk'],
    ['\ud800x', '\\ud800x'],
    ['Büro-😀-日本', 'Büro-😀-日本'],
  ])('%j', (text, shown) => {
    expect(terminalText(text)).toBe(shown);
  });

  test('no control character of any text reaches the terminal', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(terminalText(text)).not.toMatch(/\p{Cc}|\p{Cs}|[\u202a-\u202e\u2066-\u2069]/u);
      }),
    );
  });

  test('lines of files keep their tabs', () => {
    expect(terminalLine('/\text4\u0007')).toBe('/\text4\\x07');
  });
});

describe('printable', () => {
  test('cuts a long name, between characters', () => {
    expect(printable('a'.repeat(201))).toBe(`${'a'.repeat(200)}…`);
    expect(printable('ab😀c', 3)).toBe('ab…');
    expect(printable('\u001b[2J')).toBe('\\x1b[2J');
  });
});

describe('diffText', () => {
  test('keeps tabs and line ends, and lets no other character end a line', () => {
    expect(diffText('a\tb\r\nc\rd\u0085e\u2028f\n')).toBe('a\tb\r\nc\\rd\\x85e\\u2028f\n');
    expect(diffText('a\r\r\n')).toBe('a\\r\r\n');
  });
});

test('what is unsafe in one place is unsafe in all', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const plain = text.replace(/[\t\r\n&<>"']/g, '');
      expect(diffText(plain)).toBe(terminalText(plain));
      expect(markupText(plain)).toBe(terminalText(plain));
    }),
  );
});

describe('markup', () => {
  test('no value can leave its place', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const inside = markupText(text);
        expect(inside).not.toMatch(/[<>"']/);
        expect(inside).not.toMatch(/[\u0000-\u0008\u000b-\u001f]/);
      }),
    );
  });

  test('escapes values, keeps markup, lists and zero, drops null', () => {
    expect(
      markup`<p title="${'"><script>'}">${markup`<b>${1}</b>`}${[markup`<i>`, markup`</i>`]}${0}${null}</p>`
        .text,
    ).toBe('<p title="&quot;&gt;&lt;script&gt;"><b>1</b><i></i>0</p>');
  });
});
