import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { errorRecord, Hyper2kvmError } from '../errors.js';

const LARGEST_BYTES = 64 * 1024;

/** A drop's job.toml as text; null where `path` is null. Follows no link. Errors: `job-options.unreadable`. */
export async function readOptionsFile(directory: string, path: string | null): Promise<string | null> {
  if (path === null) return null;
  try {
    const handle = await open(
      join(directory, path),
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    );
    try {
      const stats = await handle.stat();
      if (!stats.isFile() || stats.size > LARGEST_BYTES)
        throw new Error(`it is no file of at most ${LARGEST_BYTES} bytes`);
      return await handle.readFile('utf8');
    } finally {
      await handle.close();
    }
  } catch (cause) {
    // Says nothing about the file.
    if (errorRecord(cause).retryable) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Hyper2kvmError('job-options.unreadable', `${path} cannot be read: ${why}`, {
      advice: 'A job.toml is a small plain file that the daemon may read: chmod g+r it, or leave it out.',
      cause,
    });
  }
}
