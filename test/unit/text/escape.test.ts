import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { markupText, terminalLine, terminalText } from '../../../src/text/escape.js';
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
