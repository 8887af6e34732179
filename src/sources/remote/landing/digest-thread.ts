import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { answerThread, askParent } from '../../../host/thread.js';

/** `digest.ts` starts this: hashes a file up to where it is landed, asking how far that is. */
await answerThread(async ({ path, size }: { path: string; size: number }): Promise<string> => {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(1024 * 1024);
  const file = openSync(path, 'r');
  try {
    let at = 0;
    while (at < size) {
      const landed = (await askParent(at)) as number;
      while (at < landed) {
        const read = readSync(file, buffer, 0, Math.min(buffer.length, landed - at), at);
        if (read === 0) throw new Error(`the landed file ends at ${at}, before ${landed}`);
        hash.update(buffer.subarray(0, read));
        at += read;
      }
    }
    return hash.digest('hex');
  } finally {
    closeSync(file);
  }
});
