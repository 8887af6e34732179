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
    const bytes = result.reduce<number>((sum, item) => sum + (typeof item === 'string' ? item.length : 0), 0);
    if (bytes > MAX_BYTES) throw tooLarge(name, `names of ${bytes} bytes`);
  }
  if ((result instanceof Uint8Array || typeof result === 'string') && result.length > MAX_BYTES)
    throw tooLarge(name, `${result.length} bytes`);
  return result;
}

function tooLarge(name: string, what: string): GuestfsError {
  return new GuestfsError(`${name} returned ${what}, more than any real guest has`, EFBIG);
}
