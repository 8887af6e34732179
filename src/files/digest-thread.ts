import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';
import { answerThread, askParent } from '../host/thread.js';
import { nextData } from './holes.js';

/** What stays in the processor's cache between reading and hashing. */
const CHUNK_BYTES = 1024 * 1024;
const ZEROS = Buffer.alloc(CHUNK_BYTES);

/** `digest.ts` starts this: hashes an open file from its start, asking how far it may read. */
await answerThread(async ({ fd, size }: { fd: number; size: number }): Promise<string> => {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  let at = 0;
  while (at < size) {
    const end = (await askParent(at)) as number;
    while (at < end) {
      const data = nextData({ fd }, at, end);
      for (; at < data; at += Math.min(CHUNK_BYTES, data - at))
        hash.update(ZEROS.subarray(0, Math.min(CHUNK_BYTES, data - at)));
      const wanted = Math.min(CHUNK_BYTES, end - at);
      if (wanted === 0) continue;
      const read = readSync(fd, buffer, 0, wanted, at);
      if (read === 0) throw new Error(`the file ends at ${at}, before ${end}`);
      hash.update(buffer.subarray(0, read));
      at += read;
    }
  }
  return hash.digest('hex');
});
