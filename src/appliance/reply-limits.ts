import { GuestfsError } from './guestfs-library.js';

const EFBIG = 27;
/** Limit on names in one directory, and subvolumes of one filesystem. */
const MAX_ITEMS = 100_000;
/** Limit on names or content; anything larger is read through a file (`find0`, `download`). */
const MAX_BYTES = 8 * 1024 * 1024;

/**
 * Returns the result of a call if the daemon can accept it: unpacking it blocks the event loop. Otherwise
 * throws a GuestfsError, as if the guest's disk had refused the call.
 */
export function limited(name: string, result: unknown): unknown {
  if (Array.isArray(result)) {
    if (result.length > MAX_ITEMS) throw tooLarge(name, `${result.length} names`);
    const bytes = result.reduce<number>((sum, item) => sum + bytesOf(item), 0);
    if (bytes > MAX_BYTES) throw tooLarge(name, `names of ${bytes} bytes`);
  }
  if ((result instanceof Uint8Array || typeof result === 'string') && result.length > MAX_BYTES)
    throw tooLarge(name, `${result.length} bytes`);
  return result;
}

/** Of a name, or of a directory's entry. */
function bytesOf(item: unknown): number {
  const name = typeof item === 'object' && item !== null && 'name' in item ? item.name : item;
  return typeof name === 'string' ? name.length : 0;
}

function tooLarge(name: string, what: string): GuestfsError {
  return new GuestfsError(`${name} returned ${what}, more than any real guest has`, EFBIG);
}
