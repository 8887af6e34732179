import { applyPatch, createTwoFilesPatch } from 'diff';
import { expect, it } from 'vitest';
import { diffHunks, unifiedDiff } from '../../../src/text/line-diff.js';

const lines = (count: number, text: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => `${text(index)}\n`).join('');

it('is the shortest diff where the change is a small one', () => {
  const [before, after] = ['a\nb\nc\n', 'a\nB\nc\n'];
  const expected = createTwoFilesPatch('a/x', 'b/x', before, after).replace(/^=+\n/, '');
  expect(unifiedDiff('a/x', 'b/x', before, after)).toBe(expected);
});

it('of 167 KB that were all changed is made in a moment, and patch(1) would apply it', () => {
  const same = lines(50, (n) => `same ${n}`);
  const before = same + lines(8000, (n) => `/dev/sda${n} /mnt/${n}`) + same;
  const after = same + lines(8000, (n) => `UUID=${n * 3} /mnt/x${n}`) + same;
  const started = performance.now();
  const patch = unifiedDiff('a/etc/fstab', 'b/etc/fstab', before, after);
  expect(performance.now() - started).toBeLessThan(2000);
  expect(applyPatch(before, patch)).toBe(after);
  expect(unifiedDiff('a/etc/fstab', 'b/etc/fstab', before, after)).toBe(patch);
});

it.each([
  ['no line end', `${lines(900, (n) => `a${n}`)}end`, lines(900, (n) => `b${n}`)],
  ['nothing before', '', lines(900, (n) => `b${n}`)],
  ['nothing after', lines(900, (n) => `a${n}`), ''],
])('%s', (_what, before, after) => {
  expect(applyPatch(before, unifiedDiff('a/x', 'b/x', before, after))).toBe(after);
  expect(diffHunks(before, after, 3)).toHaveLength(1);
});
