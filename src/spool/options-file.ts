import { join } from 'node:path';
import { errorRecord, Hyper2kvmError } from '../errors/error.js';
import { readSmallFile } from '../files/small-file.js';

const LARGEST_BYTES = 64 * 1024;

/**
 * Returns a drop's job.toml as text; null if `path` is null. Follows no link. Errors:
 * `job-options.unreadable`.
 */
export async function readOptionsFile(directory: string, path: string | null): Promise<string | null> {
  if (path === null) return null;
  try {
    return (await readSmallFile(join(directory, path), LARGEST_BYTES)).toString('utf8');
  } catch (cause) {
    // A transient error says nothing about the file.
    if (errorRecord(cause).retryable) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Hyper2kvmError('job-options.unreadable', `${path} cannot be read: ${why}`, {
      cause,
    });
  }
}
