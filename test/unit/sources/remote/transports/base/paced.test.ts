import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { paced } from '../../../../../../src/sources/remote/transports/base/paced.js';
import type { ByteRange } from '../../../../../../src/sources/remote/transports/base/transport.js';

const STEP = 256 * 1024;
const never = new AbortController().signal;
const RANGE = { start: 0, end: 2 * STEP };

/** A file whose request does as written, and ends with the reason of its signal like every transport. */
function fileOf(
  send: (signal: AbortSignal) => AsyncGenerator<Buffer>,
  stepSeconds = 0.05,
): Parameters<typeof paced>[0] & { ended: number; ranges: (ByteRange | null)[] } {
  return {
    ended: 0,
    ranges: [],
    origin: 'host:443/disk',
    stepSeconds,
    async *read(range, signal) {
      this.ranges.push(range);
      try {
        yield* send(signal);
      } finally {
        this.ended += 1;
      }
    },
  };
}

async function received(file: Parameters<typeof paced>[0], signal = never, busy = 0): Promise<number> {
  let bytes = 0;
  for await (const chunk of paced(
    { ...file, read: (range, during) => file.read(range, during) },
    RANGE,
    signal,
  )) {
    bytes += chunk.length;
    await sleep(busy);
  }
  return bytes;
}

const pause = (signal: AbortSignal, milliseconds: number) =>
  sleep(milliseconds, undefined, { signal }).catch(() => {
    throw signal.reason;
  });

describe('paced', () => {
  it('passes on what comes, and asks for the range', async () => {
    const file = fileOf(async function* () {
      yield Buffer.alloc(STEP);
      yield Buffer.alloc(5);
    });
    expect(await received(file)).toBe(STEP + 5);
    expect(file).toMatchObject({ ended: 1, ranges: [RANGE] });
  });

  it('ends a request that is silent', async () => {
    const file = fileOf(async function* (signal) {
      yield Buffer.alloc(STEP);
      await pause(signal, 60_000);
    });
    await expect(received(file)).rejects.toMatchObject({
      code: 'remote.timeout',
      retryable: true,
      message: 'host:443/disk sent only 0 bytes in 0.05 seconds',
    });
    expect(file.ended).toBe(1);
  });

  it('ends a request that dribbles, which is never silent for long', async () => {
    const file = fileOf(async function* (signal) {
      for (;;) {
        await pause(signal, 5);
        yield Buffer.alloc(1);
      }
    });
    await expect(received(file)).rejects.toMatchObject({ code: 'remote.timeout' });
    expect(file.ended).toBe(1);
  });

  it('does not count the time in which the caller was busy', async () => {
    const file = fileOf(async function* () {
      for (let index = 0; index < 8; index += 1) yield Buffer.alloc(1);
    });
    // 240 ms in all, of which next to nothing was waited for the server.
    expect(await received(file, never, 30)).toBe(8);
  });

  it('counts anew after each step that came in time', async () => {
    const file = fileOf(async function* (signal) {
      for (let index = 0; index < 4; index += 1) {
        await pause(signal, 60);
        yield Buffer.alloc(STEP);
      }
    }, 0.2);
    expect(await received(file)).toBe(4 * STEP);
  });

  it('leaves an abort of its caller as it is', async () => {
    const abort = new AbortController();
    const file = fileOf(async function* (signal) {
      abort.abort(new Error('enough'));
      await pause(signal, 60_000);
      yield Buffer.alloc(1);
    });
    await expect(received(file, abort.signal)).rejects.toThrow('enough');
    expect(file.ended).toBe(1);
  });
});
