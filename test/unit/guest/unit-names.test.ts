import { expect, it } from 'vitest';
import { escapePath, pathOfUnit } from '../../../src/guest/unit-names.js';

it.each([
  ['/dev/sdb2', 'dev-sdb2'],
  ['/dev/disk/by-uuid/1111-22', 'dev-disk-by\\x2duuid-1111\\x2d22'],
  ['/srv/data/', 'srv-data'],
  ['/srv/ä_1.x', 'srv-\\xc3\\xa4_1.x'],
  ['/.hidden', '\\x2ehidden'],
])('%s is %s in a name, and back', (path, name) => {
  expect(escapePath(path)).toBe(name);
  expect(pathOfUnit(`${name}.device`)).toBe(path.replace(/\/$/, ''));
});

it('knows the root, and no other kinds of unit', () => {
  expect(pathOfUnit('-.mount')).toBe('/');
  expect(pathOfUnit('dev-sdb2.service')).toBeNull();
  expect(pathOfUnit(`${'x'.repeat(300)}.device`)).toBeNull();
});
