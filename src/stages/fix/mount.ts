import type { Trim } from '../../access/guest-access.js';
import type { GuestReader } from '../../access/guest-reader.js';
import type { Mount } from '../../model/identity.js';

/** Mounts the guest's system as INSPECT found it, writable. */
export async function mountGuest(guest: GuestReader, mounts: readonly Mount[]): Promise<void> {
  await guest.unmountAll();
  for (const mount of mounts) await guest.mount(mount, 'rw');
}

/** Trimming pays where much of what the image holds is no longer used: it then leaves CONVERT's way. */
const TRIM_BELOW = 0.9;

/**
 * Mountpoints that were trimmed. `allocated` is the data in the source (bytes), null where the format does
 * not tell.
 */
export async function trim(
  trimming: Trim,
  mounts: readonly Mount[],
  allocated: number | null,
): Promise<string[]> {
  let used = 0;
  for (const { mountpoint } of mounts) used += await trimming.used(mountpoint);
  if (allocated === null || used >= allocated * TRIM_BELOW) return [];
  const trimmed = [];
  for (const { mountpoint } of mounts) {
    try {
      await trimming.trim(mountpoint);
      trimmed.push(mountpoint);
    } catch {
      // vfat of old kernels and a few others cannot discard: the result is larger, not wrong.
    }
  }
  return trimmed;
}
