import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { isUnit, MUTANTS, mutate } from '../../lab/mutant-list.ts';

const repository = fileURLToPath(new URL('../../..', import.meta.url));
const read = (file: string) => readFileSync(`${repository}${file}`, 'utf8');

describe('the list of deliberate breakages', () => {
  it.each(MUTANTS.map((mutant) => [mutant.name, mutant] as const))('%s fits the code', (_, mutant) => {
    const content = read(mutant.file);
    expect(mutate(content, mutant)).not.toBe(content);
    expect(mutant.tests.filter(({ file }) => !existsSync(`${repository}${file}`))).toEqual([]);
    expect(mutant.tests).not.toEqual([]);
  });

  it('has each name once, and enough that only integration tests catch', () => {
    const names = MUTANTS.map(({ name }) => name);
    expect(names).toEqual([...new Set(names)]);
    expect(names.length).toBeGreaterThanOrEqual(36);
    expect(MUTANTS.filter(({ tests }) => !tests.some(isUnit)).length).toBeGreaterThanOrEqual(12);
  });
});

describe('mutate', () => {
  const mutant = { ...MUTANTS[0]!, name: 'm', file: 'src/f.ts', text: 'a.b', by: '$&' };

  it('replaces the text as it stands', () => {
    expect(mutate('x a.b y', mutant)).toBe('x $& y');
  });

  it.each([
    ['x aab y', 'm: its text is in src/f.ts not at all instead of once: mend test/lab/mutant-list.ts'],
    ['a.b a.b a.b', 'm: its text is in src/f.ts 3 times instead of once: mend test/lab/mutant-list.ts'],
  ])('refuses a list that is stale: %s', (content, message) => {
    expect(() => mutate(content, mutant)).toThrow(message);
  });
});
