import type { GuestReader } from '../../access/guest-reader.js';
import { refusal } from '../../access/tolerate.js';
import type { Filesystem } from '../../model/identity.js';

/** Returns the first NTFS filesystem, by device, that holds Windows; null if none does. */
export async function findWindows(
  reader: GuestReader,
  filesystems: readonly Filesystem[],
): Promise<string | null> {
  for (const { device, type } of filesystems)
    if (type === 'ntfs' && (await isWindows(reader, device))) return device;
  return null;
}

async function isWindows(reader: GuestReader, device: string): Promise<boolean> {
  try {
    await reader.mount({ device, mountpoint: '/', options: '' }, 'ro');
    return (await reader.list('/')).some((name) => name.toLowerCase() === 'windows');
  } catch (error) {
    // A hibernated or dirty NTFS cannot be mounted, so it is unknown whether it holds Windows.
    refusal(error);
    return false;
  } finally {
    await reader.unmountAll();
  }
}
