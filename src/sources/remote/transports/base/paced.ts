import { Hyper2kvmError } from '../../../../errors/error.js';
import type { ByteRange, RemoteFile } from './transport.js';

/**
 * How much must come in which time: 2 KiB/s. With 16 requests at once, a line of 1 Mbit/s still has four times as much
 * for each, and a server or proxy that sends less does not get faster by waiting. So much is one block of the landing:
 * what a request brought before the one that is late is kept, and asking again costs little.
 */
const STEP_BYTES = 256 * 1024;
const STEP_SECONDS = 120;

/**
 * Yields what a request brings, and ends one that is absurdly slow or stalled with `remote.timeout`, so that another
 * is made in its place. Only the time counts in which it was waited for, and not that in which the caller was busy
 * or kept to its bandwidth.
 */
export async function* paced(
  { origin, stepSeconds = STEP_SECONDS, read }: Pick<RemoteFile, 'origin' | 'stepSeconds' | 'read'>,
  range: ByteRange | null,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const slow = new AbortController();
  const iterator = read(range, AbortSignal.any([signal, slow.signal]))[Symbol.asyncIterator]();
  let waited = 0;
  let received = 0;
  try {
    for (;;) {
      const since = performance.now();
      const timer = setTimeout(
        () => slow.abort(tooSlow(origin, received, stepSeconds)),
        Math.max(0, stepSeconds * 1000 - waited),
      );
      const next = await iterator.next().finally(() => clearTimeout(timer));
      if (next.done === true) return;
      waited += performance.now() - since;
      received += next.value.length;
      yield next.value;
      if (received < STEP_BYTES) continue;
      waited = 0;
      received = 0;
    }
  } catch (error) {
    throw slow.signal.aborted && !signal.aborted ? slow.signal.reason : error;
  } finally {
    await iterator.return?.();
  }
}

function tooSlow(origin: string, received: number, seconds: number): Hyper2kvmError {
  return new Hyper2kvmError('remote.timeout', `${origin} sent only ${received} bytes in ${seconds} seconds`, {
    retryable: true,
  });
}
