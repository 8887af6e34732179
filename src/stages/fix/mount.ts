import type { Trim } from '../../access/guest-access.js';
import type { GuestReader } from '../../access/guest-reader.js';
import type { Mount } from '../../model/identity.js';

/** Mounts the guest's filesystems as INSPECT found them, writable. */
export async function mountGuest(guest: GuestReader, mounts: readonly Mount[]): Promise<void> {
  await guest.unmountAll();
  for (const mount of mounts) await guest.mount(mount, 'rw');
}

/**
 * Trimming is worthwhile if much of the data in the image is unused, because CONVERT then need not copy it.
 */
const TRIM_BELOW = 0.9;

/**
 * Trims filesystems and returns their mount points. `allocated` is the data in the source in bytes, null if
 * the format does not tell.
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
      // vfat of old kernels and a few others cannot discard: the result is larger, but not wrong.
    }
  }
  return trimmed;
}
