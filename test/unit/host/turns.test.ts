import { describe, expect, it } from 'vitest';
import { eachInTurns, sortInTurns, sortNumbersInTurns } from '../../../src/host/turns.js';

/** Turns that others had while `work` ran. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let isOver = false;
  const count = () => {
    turns += 1;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  await work();
  isOver = true;
  return turns;
}

describe('long loops', () => {
  it('sort as Array.sort does, stably', async () => {
    const items = Array.from({ length: 1000 }, (_, index) => ({ key: (index * 7) % 13, index }));
    const compare = (a: { key: number }, b: { key: number }) => a.key - b.key;
    expect(await sortInTurns([...items], compare)).toEqual([...items].sort(compare));
    expect(await sortInTurns([], compare)).toEqual([]);
  });

  it('let others have their turn', async () => {
    const numbers = Float64Array.from({ length: 400_000 }, (_, index) => (index * 7919) % 400_000);
    expect(await turnsDuring(() => sortNumbersInTurns(numbers))).toBeGreaterThan(2);
    expect([numbers[0], numbers[399_999]]).toEqual([0, 399_999]);
    const busy = () => {
      const end = performance.now() + 0.05;
      while (performance.now() < end);
    };
    expect(await turnsDuring(() => eachInTurns(new Array(4000).fill(0), busy))).toBeGreaterThan(2);
  });
});
