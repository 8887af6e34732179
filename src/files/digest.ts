import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';

const CHUNK_BYTES = 4 * 1024 * 1024;

export interface DigestOptions {
  signal?: AbortSignal;
  /** Called before each chunk is read, with its size in bytes: a caller may let the reading wait. */
  pace?(bytes: number): Promise<void>;
}

/**
 * Returns the SHA-256 (hexadecimal) and size of an open file, read from its start. The next chunk is read
 * while one is hashed.
 */
export async function digestHandle(
  file: FileHandle,
  { signal, pace = noPace }: DigestOptions = {},
): Promise<{ sha256: string; size: number }> {
  const hash = createHash('sha256');
  let current = Buffer.allocUnsafe(CHUNK_BYTES);
  let next = Buffer.allocUnsafe(CHUNK_BYTES);
  let size = 0;
  let { bytesRead } = await file.read(current, 0, CHUNK_BYTES, 0);
  while (bytesRead > 0) {
    signal?.throwIfAborted();
    size += bytesRead;
    await pace(bytesRead);
    const reading = file.read(next, 0, CHUNK_BYTES, size);
    hash.update(current.subarray(0, bytesRead));
    ({ bytesRead } = await reading);
    [current, next] = [next, current];
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
