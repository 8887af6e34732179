import { lstat } from 'node:fs/promises';
import { isErrorCode } from '../errors/errno.js';

/** True where something is at `path`, a link to nowhere too. What cannot be told is an error. */
export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (isErrorCode(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}
