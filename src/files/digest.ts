import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { nextData } from './holes.js';

const CHUNK_BYTES = 4 * 1024 * 1024;
const ZEROS = Buffer.alloc(CHUNK_BYTES);

export interface DigestOptions {
  signal?: AbortSignal;
  /** Called before each chunk is read, with its size in bytes: a caller may let the reading wait. */
  pace?(bytes: number): Promise<void>;
}

/**
 * Returns the SHA-256 (hexadecimal) and size of an open file, read from its start. The next chunk is read
 * while one is hashed; holes are not read.
 */
export async function digestHandle(
  file: FileHandle,
  { signal, pace = noPace }: DigestOptions = {},
): Promise<{ sha256: string; size: number }> {
  const hash = createHash('sha256');
  const { size: expected } = await file.stat();
  // Two whole chunks for each small file would have the garbage collector run after every few of them.
  const most = Math.min(CHUNK_BYTES, expected + 1);
  let spare: [Buffer, Buffer] = [Buffer.allocUnsafe(most), Buffer.allocUnsafe(most)];
  const chunkAt = async (offset: number): Promise<Buffer> => {
    if ((await nextData(file, offset, expected)) - offset >= CHUNK_BYTES) {
      // Nothing was waited for: others get their turn.
      await setImmediate();
      return ZEROS;
    }
    const [buffer, other] = spare;
    spare = [other, buffer];
    return buffer.subarray(0, (await file.read(buffer, 0, most, offset)).bytesRead);
  };
  let size = 0;
  let chunk = await chunkAt(0);
  while (chunk.length > 0) {
    signal?.throwIfAborted();
    size += chunk.length;
    await pace(chunk.length);
    const reading = chunkAt(size);
    hash.update(chunk);
    chunk = await reading;
  }
  return { sha256: hash.digest('hex'), size };
}

async function noPace(): Promise<void> {}

/** Returns the SHA-256 of a file's content, hexadecimal. */
export async function sha256File(path: string, signal?: AbortSignal): Promise<string> {
  const file = await open(path, 'r');
  try {
    return (await digestHandle(file, signal === undefined ? {} : { signal })).sha256;
  } finally {
    await file.close();
  }
}
