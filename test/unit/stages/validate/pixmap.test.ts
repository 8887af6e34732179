import { expect, test } from 'vitest';
import { parsePixmap, pixmapBytes } from '../../../../src/stages/validate/pixmap.js';

const PIXELS = Buffer.from([1, 2, 3, 4, 5, 6]);

test('a pixmap is read as it was written', () => {
  const picture = { width: 2, height: 1, pixels: PIXELS };
  expect(parsePixmap(pixmapBytes(picture))).toEqual(picture);
  expect(parsePixmap(Buffer.concat([Buffer.from('P6\n2 1\n255\n'), PIXELS]))).toEqual(picture);
});

test.each([
  ['nothing', ''],
  ['a picture that is not whole', 'P6\n2 1\n255\n123'],
  ['another form', 'P5\n2 1\n255\n12'],
  ['absurd numbers', 'P6\n999999 999999\n255\n'],
])('%s is none', (_name, text) => {
  expect(parsePixmap(Buffer.from(text))).toBeNull();
});
