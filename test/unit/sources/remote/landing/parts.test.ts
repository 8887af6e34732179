import { describe, expect, it } from 'vitest';
import { Hyper2kvmError } from '../../../../../src/errors/error.js';
import { BLOCK_BYTES, BlockMap } from '../../../../../src/sources/remote/landing/block-map.js';
import { HostSlots } from '../../../../../src/sources/remote/landing/host-slots.js';
import { Meter } from '../../../../../src/sources/remote/landing/meter.js';
import { Patience } from '../../../../../src/sources/remote/landing/patience.js';

const never = new AbortController().signal;

describe('BlockMap', () => {
  it('hands out every block once, in order, in runs', () => {
    const map = new BlockMap(4 * BLOCK_BYTES + 1);
    map.finish({ first: 2, end: 3 });
    expect([map.take(8), map.take(1), map.take(8), map.take(8)]).toEqual([
      { first: 0, end: 2 },
      { first: 3, end: 4 },
      { first: 4, end: 5 },
      null,
    ]);
    expect(map.isWhole).toBe(false);
  });

  it('takes back what did not arrive, and nothing else', () => {
    const map = new BlockMap(4 * BLOCK_BYTES);
    const run = map.take(4)!;
    map.finish({ first: 0, end: 1 });
    map.finish({ first: 2, end: 3 });
    map.giveBack(run);
    expect(map.frontier).toBe(1);
    expect([map.take(4), map.take(4), map.take(4)]).toEqual([
      { first: 1, end: 2 },
      { first: 3, end: 4 },
      null,
    ]);
  });

  it('counts a block once, and ignores those behind the end', () => {
    const map = new BlockMap(2 * BLOCK_BYTES);
    map.finish({ first: 0, end: 9 });
    map.finish({ first: 0, end: 1 });
    expect([map.done, map.isWhole, map.frontier]).toEqual([2, true, 2]);
    expect(new BlockMap(0).isWhole).toBe(true);
  });
});

describe('Patience', () => {
  const passing = () => new Hyper2kvmError('remote.interrupted', 'cut', { retryable: true });

  it('ends after so many failures in a row, and counts anew after progress', async () => {
    const patience = new Patience(2, never);
    const failed = patience.line();
    await failed(passing());
    patience.progressed();
    await failed(passing());
    await expect(failed(passing())).rejects.toMatchObject({ code: 'remote.interrupted' });
    expect(patience.retries).toBe(2);
  });

  it('does not wait for what will not pass', async () => {
    const failed = new Patience(9, never).line();
    await expect(failed(new Hyper2kvmError('remote.not-found', 'gone'))).rejects.toThrow('gone');
    await expect(failed(new Error('a bug'))).rejects.toThrow('a bug');
  });
});

describe('HostSlots', () => {
  it('gives so many for each host, in the order of asking', async () => {
    const slots = new HostSlots();
    const first = await slots.take('a', 1, never);
    const order: number[] = [];
    const second = slots.take('a', 1, never).then((release) => {
      order.push(2);
      return release;
    });
    const third = slots.take('a', 1, never).then((release) => {
      order.push(3);
      return release;
    });
    (await slots.take('b', 1, never))();
    expect(order).toEqual([]);
    first();
    first();
    (await second)();
    (await third)();
    expect(order).toEqual([2, 3]);
  });

  it('lets one leave that waits', async () => {
    const slots = new HostSlots();
    const release = await slots.take('a', 1, never);
    const abort = new AbortController();
    const waiting = slots.take('a', 1, abort.signal);
    abort.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    release();
    (await slots.take('a', 1, never))();
  });
});

describe('Meter', () => {
  it('says how much is there, how fast it comes, and when it ends', () => {
    let now = 0;
    const seen: object[] = [];
    const meter = new Meter(
      (progress) => void seen.push(progress),
      () => now,
    );
    meter.expect(1000);
    meter.step = 'fetching disk';
    meter.add(500);
    for (const second of [1, 2]) {
      now = second;
      meter.receive(100);
      meter.add(100);
    }
    // Resumed at a half: the rate is that of what came since.
    expect(seen.at(-1)).toEqual({ percent: 60, bytesPerSecond: 100, etaSeconds: 4, step: 'fetching disk' });
  });
});
