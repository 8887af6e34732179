import { expect, it } from 'vitest';
import { Lifecycle, type Part } from '../../../src/daemon/lifecycle.js';
import { createLog } from '../../../src/host/log.js';

function parts() {
  const done: string[] = [];
  const lines: string[] = [];
  const lifecycle = new Lifecycle(createLog({ level: 'error', writer: (line) => lines.push(line) }).logger);
  const part = (name: string, extra: Partial<Part> = {}): Part => ({
    name,
    start: async () => void done.push(`+${name}`),
    stop: async () => void done.push(`-${name}`),
    ...extra,
  });
  return { done, lines, lifecycle, part };
}

it('starts parts in order and stops them in reverse, once', async () => {
  const { done, lifecycle, part } = parts();
  await lifecycle.start([part('a'), { name: 'endless', start() {} }]);
  await lifecycle.start([part('b')]);
  await lifecycle.stop();
  await lifecycle.stop();
  expect(done).toEqual(['+a', '+b', '-b', '-a']);
});

it('stops those before a part that cannot start, and all where one does not stop', async () => {
  const { done, lines, lifecycle, part } = parts();
  const broken = part('b', { stop: () => Promise.reject(new Error('it hangs')) });
  const start = lifecycle.start([
    part('a'),
    broken,
    part('c', { start: () => Promise.reject(new Error('no port')) }),
    part('d'),
  ]);
  await expect(start).rejects.toThrow('no port');
  await lifecycle.stop();
  expect(done).toEqual(['+a', '+b', '-a']);
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { part: 'b', msg: 'part did not stop cleanly' },
  ]);
});
