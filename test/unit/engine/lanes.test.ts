import { describe, expect, it } from 'vitest';
import { PipelineLanes } from '../../../src/engine/lanes.js';

const signal = new AbortController().signal;

describe('PipelineLanes', () => {
  it.each([
    ['appliances', 1],
    ['conversions', 2],
    ['boots', 3],
  ] as const)('gives %s no more slots than are configured: %i', async (lane, slots) => {
    const lanes = new PipelineLanes({ appliances: 1, conversions: 2, boots: 3 });
    for (let taken = 0; taken < slots; taken++) await lanes.acquire(lane, { priority: 0, signal });
    void lanes.acquire(lane, { priority: 0, signal });
    expect(lanes.load()[lane]).toEqual({ running: slots, waiting: 1, slots });
  });

  it('grants slots by priority, then by arrival', async () => {
    const lanes = new PipelineLanes({ appliances: 1, conversions: 1, boots: 1 });
    const order: string[] = [];
    const release = await lanes.acquire('boots', { priority: 0, signal });
    const take = async (name: string, priority: number) => {
      const done = await lanes.acquire('boots', { priority, signal });
      order.push(name);
      done();
    };
    const all = [take('a', 0), take('b', 5), take('c', 0), take('d', 5)];
    expect(lanes.load().boots).toEqual({ running: 1, waiting: 4, slots: 1 });
    release();
    release();
    await Promise.all(all);
    expect(order).toEqual(['b', 'd', 'a', 'c']);
  });

  it('takes an aborted waiter out, and keeps a slot whose holder was aborted until it is released', async () => {
    const lanes = new PipelineLanes({ appliances: 1, conversions: 1, boots: 1 });
    const holder = new AbortController();
    const release = await lanes.acquire('boots', { priority: 0, signal: holder.signal });
    const waiter = new AbortController();
    const waiting = lanes.acquire('boots', { priority: 0, signal: waiter.signal });
    waiter.abort(new Error('cancelled'));
    await expect(waiting).rejects.toThrow('cancelled');
    holder.abort(new Error('holder'));
    expect(lanes.load().boots).toEqual({ running: 1, waiting: 0, slots: 1 });
    release();
    await lanes.acquire('boots', { priority: 0, signal });
  });
});
