import type { ApplianceSession } from '../../appliance/session.js';
import type { Identity } from '../../model/identity.js';

/** Mounts the guest's system as INSPECT found it, writable. */
export async function mountGuest(session: ApplianceSession, identity: Identity): Promise<void> {
  await session.call('umount_all');
  for (const { device, mountpoint, options } of identity.mounts) {
    await session.call('mount_options', options === '' ? 'rw' : `rw,${options}`, device, mountpoint);
  }
}

/** Trimming pays where much of what the image holds is no longer used: it then leaves CONVERT's way. */
const TRIM_BELOW = 0.9;

/** Mountpoints that were trimmed. `allocated` is the data in the source (bytes), null where the format does not tell. */
export async function trim(
  session: ApplianceSession,
  identity: Identity,
  allocated: number | null,
): Promise<string[]> {
  const usage = [];
  for (const { mountpoint } of identity.mounts) {
    const { bsize, blocks, bfree } = await session.call('statvfs', mountpoint);
    usage.push({ mountpoint, used: bsize * (blocks - bfree) });
  }
  const used = usage.reduce((sum, filesystem) => sum + filesystem.used, 0);
  if (allocated === null || used >= allocated * TRIM_BELOW) return [];
  const trimmed = [];
  for (const { mountpoint } of usage) {
    try {
      await session.call('fstrim', mountpoint);
      trimmed.push(mountpoint);
    } catch {
      // vfat of old kernels and a few others cannot discard: the result is larger, not wrong.
    }
  }
  return trimmed;
}
