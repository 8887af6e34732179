import { describe, expect, it } from 'vitest';
import { union } from '../../../../src/stages/convert/commit-areas.js';
import type { Area } from '../../../../src/tools/qemu-img.js';

const area = (start: number, length: number, isZero = false): Area => ({ start, length, isZero });

describe('the areas of a copy that may differ from its base', () => {
  it.each<[string, Area[], Area[], Area[]]>([
    ['nothing', [], [], []],
    ['only what has changed', [area(0, 4, true), area(8, 4)], [], [area(0, 4, true), area(8, 4)]],
    ['only what an earlier run wrote', [], [area(2, 2), area(8, 4)], [area(2, 2), area(8, 4)]],
    ['the same twice', [area(0, 4, true)], [area(0, 4)], [area(0, 4, true)]],
    ['what was written around it', [area(4, 4)], [area(0, 12)], [area(0, 4), area(4, 4), area(8, 4)]],
    [
      'what was written between several',
      [area(0, 2), area(4, 2), area(8, 2)],
      [area(1, 8)],
      [area(0, 2), area(2, 2), area(4, 2), area(6, 2), area(8, 2)],
    ],
    ['what was written inside', [area(0, 12)], [area(2, 2), area(6, 2)], [area(0, 12)]],
    ['neighbours', [area(4, 4)], [area(0, 4), area(8, 2)], [area(0, 4), area(4, 4), area(8, 2)]],
  ])('%s', (_name, changed, touched, all) => {
    expect(union(changed, touched)).toEqual(all);
  });

  it('of any lists are in order, without overlaps, and cover both', () => {
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed % below;
    };
    const some = () => {
      const areas: Area[] = [];
      for (let at = random(5); at < 60; at += 1 + random(9)) {
        const length = 1 + random(6);
        areas.push(area(at, length, random(2) === 0));
        at += length;
      }
      return areas;
    };
    const bytes = (areas: readonly Area[]) =>
      areas.flatMap(({ start, length }) => Array.from({ length }, (_, index) => start + index));
    for (let round = 0; round < 300; round++) {
      const [changed, touched] = [some(), some()];
      const covered = bytes(union(changed, touched));
      const both = [...new Set([...bytes(changed), ...bytes(touched)])].sort((a, b) => a - b);
      expect(covered).toEqual(both);
    }
  });
});
