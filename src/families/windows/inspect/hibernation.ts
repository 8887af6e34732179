import type { GuestReader } from '../../../access/guest-reader.js';
import type { WindowsPaths } from './paths.js';

/** The first four bytes of a hibernation file that holds memory, in any case. `wake`: it was used up. */
const HOLDS_MEMORY = new Set(['hibr', 'rstr']);

/**
 * Returns whether the system on the mounted root is hibernated. Only the file's header says so: with fast
 * startup, which is every client's default, the file exists always.
 */
export async function isHibernated(reader: GuestReader, paths: WindowsPaths): Promise<boolean> {
  const file = await paths.find('/hiberfil.sys');
  if (file === null || (await reader.stat(file))?.type !== 'file') return false;
  return HOLDS_MEMORY.has((await reader.readAt(file, 0, 4)).toString('latin1').toLowerCase());
}
