import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Hyper2kvmError } from '../../../src/errors/error.js';
import { runInThread } from '../../../src/host/thread.js';

const THREAD = new URL('./asking-thread.ts', import.meta.url);

function ask(
  questions: unknown[],
  reply?: (question: unknown) => Promise<unknown>,
  { seconds = 20, works = 0, signal = new AbortController().signal } = {},
): Promise<unknown> {
  const limits = { seconds, memoryMib: 64, signal };
  return runInThread(THREAD, { questions, seconds: works }, limits, reply === undefined ? {} : { reply });
}

describe('a thread that asks', () => {
  it('gets each answer where it belongs, bytes as a Buffer', async () => {
    const reply = async (question: unknown) => {
      await sleep(question === 'first' ? 50 : 0);
      return question === 'bytes' ? Buffer.from('content') : { of: question };
    };
    expect(await ask(['first', 'second', 'bytes'], reply)).toEqual([
      { of: 'first' },
      { of: 'second' },
      'content',
    ]);
  });

  it('gets an error with its code and its cause', async () => {
    const reply = () =>
      Promise.reject(new Hyper2kvmError('guest.call-failed', 'no', { cause: new Error('ENOENT') }));
    expect(await ask(['x'], reply)).toEqual([{ code: 'guest.call-failed', cause: 'ENOENT' }]);
    expect(await ask(['x'])).toEqual([{ code: 'internal.unexpected' }]);
  });

  it('has its time for its own work, whatever the answers take', async () => {
    const slowly = () => sleep(1500, 'late');
    expect(await ask(['x'], slowly, { seconds: 1 })).toEqual(['late']);
    await expect(ask(['x'], slowly, { seconds: 1, works: 60 })).rejects.toMatchObject({
      code: 'guest.too-slow',
    });
  });

  it('ends at once when it is cancelled in the middle of a question', async () => {
    const abort = new AbortController();
    const reply = () => {
      abort.abort(new Error('enough'));
      return sleep(60_000, undefined, { ref: false });
    };
    await expect(ask(['x'], reply, { signal: abort.signal })).rejects.toThrow('enough');
  });
});
