import { expect, test } from 'vitest';
import { withoutEscapes, withoutUnfinishedEscape } from '../../../src/text/terminal-escapes.js';

test.each([
  ['\u001b[1;31mred\u001b[0m', 'red'],
  ['\u001b[!p\u001b[?25lA', 'A'],
  ['\u001b]0;a title, with blanks\u0007A', 'A'],
  ['\u001b]3008;start=1;comm=(sd-mkdcreds)\u001b\\A', 'A'],
  ['\u001bP+q6E616D65\u001b\\A', 'A'],
  ['\u001b7A\u001b8B', 'AB'],
  ['\u001b(BA\u001b%GB\u001b=C', 'ABC'],
  ['\u001b[38:5:1mA\u001b[>cB', 'AB'],
  ['plain [31m text', 'plain [31m text'],
])('%j without escapes', (text, plain) => {
  expect(withoutEscapes(text)).toBe(plain);
});

test.each([
  '\u001b',
  '\u001b[',
  '\u001b[1;3',
  '\u001b[?25',
  '\u001b]0;title',
  '\u001b]0;title\u001b',
  '\u001b(',
])('an unfinished %j is no text yet', (begun) => {
  expect(withoutUnfinishedEscape(`login: ${begun}`)).toBe('login: ');
});

test.each(['\u001b]a', '\u001b[', '\u001b[;', '\u001bP'])('256 KiB of %j take no time', (piece) => {
  const started = performance.now();
  withoutEscapes(piece.repeat(2 ** 18 / piece.length));
  withoutUnfinishedEscape(piece.repeat(2 ** 18 / piece.length));
  expect(performance.now() - started).toBeLessThan(1000);
});
