import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { runInThread } from '../host/thread.js';

/** A larger file is hashed in a thread of its own, beside the daemon's other work. */
const THREAD_BYTES = 32 * 1024 * 1024;
const THREAD = new URL('./digest-thread.js', import.meta.url);
/** For one step of the size below, from a slow disk. */
const LIMITS = { seconds: 600, memoryMib: 64 };
const STEP_BYTES = 64 * 1024 * 1024;

export interface DigestOptions {
  signal?: AbortSignal;
  /** For a file that another program reads at the same time; not called for a small file. */
  follow?: Follow;
  /** Gets the bytes that were read from a disk, at the end; not called for a small file. */
  onDeviceRead?(bytes: number): void;
}

interface DigestProgress {
  file: FileHandle;
  /** Where in the file the digest is. */
  at: number;
  /** The bytes before that, without holes. */
  read: number;
}

/**
 * Resolves with the end of what may be read of a file, as soon as that is beyond `at`. What it rejects with
 * ends the digest.
 */
export type Follow = (progress: DigestProgress) => Promise<number>;

export interface ThreadDigest {
  sha256: string;
  /** Bytes read from a disk. */
  deviceRead: number;
}

/**
 * Returns the SHA-256 (hexadecimal) and size of an open file, read from its start; holes are not read. The
 * handle must stay open until then.
 */
export async function digestHandle(
  file: FileHandle,
  { signal = new AbortController().signal, follow, onDeviceRead }: DigestOptions = {},
): Promise<{ sha256: string; size: number }> {
  const { size } = await file.stat();
  if (size >= THREAD_BYTES) {
    const { sha256, deviceRead } = await digestInThread(file, size, { signal, follow });
    onDeviceRead?.(deviceRead);
    return { sha256, size };
  }
  signal.throwIfAborted();
  const content = await file.readFile();
  return { sha256: createHash('sha256').update(content).digest('hex'), size: content.length };
}

/** Computes the digest of the first `size` bytes of an open file, which may still be written to. */
export function digestInThread(
  file: FileHandle,
  size: number,
  { signal, follow = async () => size }: { signal: AbortSignal; follow?: Follow | undefined },
): Promise<ThreadDigest> {
  return runInThread<ThreadDigest>(
    THREAD,
    { fd: file.fd, size },
    { ...LIMITS, signal },
    {
      async reply(question) {
        const { at, read } = question as Omit<DigestProgress, 'file'>;
        return Math.min(size, at + STEP_BYTES, await follow({ file, at, read }));
      },
    },
  );
}

/** Returns the SHA-256 of a file's content, hexadecimal. */
export async function sha256File(path: string, options: DigestOptions = {}): Promise<string> {
  const file = await open(path, 'r');
  try {
    return (await digestHandle(file, options)).sha256;
  } finally {
    await file.close();
  }
}
