import { GuestfsError } from './guestfs-library.js';

const EFBIG = 27;
/** Names in one directory, subvolumes of one filesystem. */
const MAX_ITEMS = 100_000;
/** Of names or content: what is larger is read through a file (`find0`, `download`). */
const MAX_BYTES = 8 * 1024 * 1024;

/**
 * The result of a call, where the daemon can take it: in there everything else waits while it is unpacked.
 * Throws a GuestfsError otherwise, as for what the guest's disk refuses.
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
  return new GuestfsError(`${name} gave ${what}, more than any real guest has there`, EFBIG);
}
