import { lstat } from 'node:fs/promises';
import { isErrorCode } from '../errors/errno.js';

/** True if there is something at `path`, including a dangling link. Rejects if that cannot be determined. */
export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (isErrorCode(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}
