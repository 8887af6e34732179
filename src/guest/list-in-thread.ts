import { runInThread } from '../host/thread.js';
import { DEFAULT_LIMITS, type InitramfsListing, type ListLimits } from './initramfs-listing.js';
import type { ListRequest } from './initramfs-thread.js';

const THREAD = new URL('./initramfs-thread.js', import.meta.url);
/** Each program that unpacks has two minutes. */
const LIMITS = { seconds: 600, memoryMib: 512 };

/**
 * Runs `listInitramfs` on a file or its bytes in a thread, because hundreds of MiB would block the daemon.
 */
export function listInThread(
  image: string | Buffer,
  signal: AbortSignal,
  limits: ListLimits = DEFAULT_LIMITS,
): Promise<InitramfsListing> {
  // Copied, because transferring a view would transfer the memory that it is a part of.
  const own = typeof image === 'string' ? image : new Uint8Array(image);
  const transfer = typeof own === 'string' ? [] : [own.buffer];
  return runInThread<InitramfsListing>(
    THREAD,
    { image: own, limits } satisfies ListRequest,
    { ...LIMITS, signal },
    { transfer },
  );
}
