import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { both, eachDisk } from '../../../src/host/each-disk.js';

const { signal } = new AbortController();

test('results in the order of the items, never more at once than allowed', async () => {
  let running = 0;
  let most = 0;
  const results = await eachDisk([30, 5, 20, 1], { limit: 2, signal }, async (milliseconds) => {
    running += 1;
    most = Math.max(most, running);
    await sleep(milliseconds);
    running -= 1;
    return milliseconds;
  });
  expect(results).toEqual([30, 5, 20, 1]);
  expect(most).toBe(2);
});

test('after a failure nothing new starts, and nothing is left running', async () => {
  const ended: string[] = [];
  const work = async (item: string, together: AbortSignal) => {
    if (item === 'bad') throw new Error('first');
    await sleep(60_000, undefined, { signal: together }).catch(() => undefined);
    await sleep(20);
    ended.push(item);
    together.throwIfAborted();
  };
  await expect(eachDisk(['slow', 'bad', 'never'], { limit: 2, signal }, work)).rejects.toThrow('first');
  expect(ended).toEqual(['slow']);
});

test('the caller’s signal ends it with its reason', async () => {
  const abort = new AbortController();
  const work = (_item: number, together: AbortSignal) => sleep(60_000, undefined, { signal: together });
  const running = eachDisk([1, 2], { limit: 2, signal: abort.signal }, work);
  abort.abort(new Error('cancelled by the operator'));
  await expect(running).rejects.toThrow();
});

test('no items', async () => {
  expect(await eachDisk([], { limit: 2, signal }, async () => 1)).toEqual([]);
});

test('of two pieces of work, a failure ends the other', async () => {
  const slow = (together: AbortSignal) => sleep(60_000, 'slow', { signal: together });
  await expect(both(signal, slow, () => Promise.reject(new Error('first')))).rejects.toThrow('first');
  expect(
    await both(
      signal,
      async () => 1,
      async () => 'two',
    ),
  ).toEqual([1, 'two']);
});
