import fc from 'fast-check';
import { expect, it } from 'vitest';
import { filterVerdict, lvmFilters } from '../../../src/guest/lvm-filter.js';
import { compilePattern, matchesPattern } from '../../../src/guest/lvm-pattern.js';

const matches = (pattern: string, name: string) => {
  const compiled = compilePattern(pattern);
  return compiled === null ? null : matchesPattern(compiled, name);
};

/** Patterns of the syntax that LVM and JavaScript have in common. */
const { pattern: anyPattern } = fc.letrec<{ pattern: string; atom: string }>((tie) => ({
  pattern: fc.oneof(
    { maxDepth: 4 },
    tie('atom'),
    fc.tuple(tie('pattern'), tie('pattern')).map(([a, b]) => `${a}${b}`),
    fc.tuple(tie('pattern'), tie('pattern')).map(([a, b]) => `(${a}|${b})`),
    fc.tuple(tie('atom'), fc.constantFrom('*', '+', '?')).map(([a, sign]) => `(${a})${sign}`),
  ),
  atom: fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', '[a-c]', '^', '$', '\\.', '/'),
}));

it('a pattern matches what JavaScript’s does', () => {
  const name = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '.', '/'), maxLength: 8 });
  fc.assert(
    fc.property(anyPattern, name, (pattern, text) => {
      expect(matches(pattern, text)).toBe(new RegExp(pattern).test(text));
    }),
    { numRuns: 2_000 },
  );
});

it.each(['(', ')', '*a', '[a', 'a(b', 'a|*', '\\'])('%s is rejected', (pattern) => {
  expect(matches(pattern, 'a')).toBeNull();
});

it('a brace is a plain character, and a repeated group takes no longer than its length', () => {
  expect(matches('a{2}', 'aa')).toBe(false);
  expect(matches('a{2}', 'xa{2}')).toBe(true);
  const before = performance.now();
  expect(matches('((a*)*)*b', 'a'.repeat(2_000))).toBe(false);
  expect(performance.now() - before).toBeLessThan(2_000);
});

it('a quoted backslash of LVM’s configuration is one in the pattern', () => {
  const [filter] = lvmFilters('filter = [ "a|^/dev/sd\\\\.|", \'r|\\.x|\' ]\n');
  expect(filter?.patterns).toEqual(['a|^/dev/sd\\.|', 'r|\\.x|']);
  expect(filterVerdict(filter?.patterns ?? [], ['/dev/sda'])).toBe('none');
});
