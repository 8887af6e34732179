import { expect, test } from 'vitest';
import { diskIndex, diskLetters } from '../../../src/text/disk-letters.js';

test('disks are named as the kernel names them, and back', () => {
  const indexes = [0, 25, 26, 51, 52, 701, 702];
  const letters = ['a', 'z', 'aa', 'az', 'ba', 'zz', 'aaa'];
  expect(indexes.map(diskLetters)).toEqual(letters);
  expect(letters.map(diskIndex)).toEqual(indexes);
});
