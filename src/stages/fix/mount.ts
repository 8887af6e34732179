import type { BlockDevices } from '../../access/block-devices.js';
import type { Trim } from '../../access/guest-access.js';
import type { GuestReader } from '../../access/guest-reader.js';
import type { Identity, Mount } from '../../model/identity.js';

/** Mounts the guest's filesystems as INSPECT found them, writable. */
export async function mountGuest(guest: GuestReader, mounts: readonly Mount[]): Promise<void> {
  await guest.unmountAll();
  for (const mount of mounts) await guest.mount(mount, 'rw');
}

/**
 * Drops the journals that Windows did not finish, with marks that have it check the volumes: mounting drops
 * them anyway, but without the marks. Returns what was done. Nothing may be mounted.
 */
export async function dropJournals(devices: BlockDevices, identity: Identity): Promise<string[]> {
  const done = [];
  for (const { device, journal_clean } of volumesOf(identity)) {
    if (journal_clean !== false) continue;
    await devices.dropNtfsJournal(device);
    done.push(`${device}: unfinished journal dropped, Windows runs chkdsk at its next start`);
  }
  return done;
}

/** Returns the mounts whose free space can be trusted to be free: not those that wait for chkdsk. */
export function trimmable(identity: Identity): Mount[] {
  const unclean = volumesOf(identity)
    .filter(({ dirty, journal_clean }) => dirty === true || journal_clean === false)
    .map(({ device }) => device);
  return identity.mounts.filter(({ device }) => !unclean.includes(device));
}

const volumesOf = (identity: Identity) => (identity.os_type === 'windows' ? identity.volumes : []);

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
