import { runInThread } from '../host/thread.js';
import { DEFAULT_LIMITS, type InitramfsListing, type ListLimits } from './initramfs-listing.js';
import type { ListRequest } from './initramfs-thread.js';

const THREAD = new URL('./initramfs-thread.js', import.meta.url);
/** The programs that unpack have two minutes each. */
const LIMITS = { seconds: 600, memoryMib: 512 };

/** `listInitramfs` of a file or its bytes, where hundreds of MiB keep nobody waiting. */
export function listInThread(
  image: string | Buffer,
  signal: AbortSignal,
  limits: ListLimits = DEFAULT_LIMITS,
): Promise<InitramfsListing> {
  // A copy: a view would take all of the memory that it is a part of along.
  const own = typeof image === 'string' ? image : new Uint8Array(image);
  const transfer = typeof own === 'string' ? [] : [own.buffer];
  return runInThread<InitramfsListing>(
    THREAD,
    { image: own, limits } satisfies ListRequest,
    { ...LIMITS, signal },
    { transfer },
  );
}
