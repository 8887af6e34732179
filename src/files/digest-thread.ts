import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';
import { threadIo } from '../host/process-io.js';
import { answerThread, askParent } from '../host/thread.js';
import type { ThreadDigest } from './digest.js';
import { nextData } from './holes.js';

/** What stays in the processor's cache between reading and hashing. */
const CHUNK_BYTES = 1024 * 1024;
const ZEROS = Buffer.alloc(CHUNK_BYTES);

/** `digest.ts` starts this: hashes an open file from its start, asking how far it may read. */
await answerThread(async ({ fd, size }: { fd: number; size: number }): Promise<ThreadDigest> => {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  const before = threadIo().deviceRead;
  let at = 0;
  let read = 0;
  while (at < size) {
    const end = (await askParent({ at, read })) as number;
    while (at < end) {
      const data = nextData({ fd }, at, end);
      while (at < data) {
        const length = Math.min(CHUNK_BYTES, data - at);
        hash.update(ZEROS.subarray(0, length));
        at += length;
      }
      if (at === end) break;
      const length = readSync(fd, buffer, 0, Math.min(CHUNK_BYTES, end - at), at);
      if (length === 0) throw new Error(`the file ends at ${at}, before ${end}`);
      hash.update(buffer.subarray(0, length));
      at += length;
      read += length;
    }
  }
  return { sha256: hash.digest('hex'), deviceRead: threadIo().deviceRead - before };
});
