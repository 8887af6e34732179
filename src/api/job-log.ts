import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrorCode } from '../errors/errno.js';
import { Hyper2kvmError } from '../errors/error.js';

const POLL_MS = 300;
const CHUNK_BYTES = 64 * 1024;

/**
 * Yields the lines of a job's log unchanged, and with `follow` further lines until `isDone`. `locate` returns
 * where the file is now, because it moves with the job. Errors: `api.no-log`.
 */
export async function* jobLogLines(request: {
  locate(): Promise<readonly string[]>;
  isDone(): Promise<boolean>;
  follow: boolean;
  signal: AbortSignal;
}): AsyncGenerator<Uint8Array> {
  let offset = 0;
  let found = false;
  for (;;) {
    // Asked before reading, so that what is written up to the end is still read.
    const last = !request.follow || (await request.isDone());
    const handle = await openFirst(await request.locate());
    if (handle !== null) {
      found = true;
      try {
        const buffer = Buffer.alloc(CHUNK_BYTES);
        for (;;) {
          const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES, offset);
          if (bytesRead === 0) break;
          offset += bytesRead;
          yield Buffer.from(buffer.subarray(0, bytesRead));
        }
      } finally {
        await handle.close();
      }
    }
    if (last && !found) {
      throw new Hyper2kvmError('api.no-log', 'the log of this job no longer exists');
    }
    if (last || request.signal.aborted) return;
    await sleep(POLL_MS, undefined, { signal: request.signal }).catch(() => undefined);
  }
}

async function openFirst(paths: readonly string[]) {
  for (const path of paths) {
    try {
      return await open(path, 'r');
    } catch (error) {
      if (!isErrorCode(error, 'ENOENT')) throw error;
    }
  }
  return null;
}
