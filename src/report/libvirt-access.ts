import { dirname } from 'node:path';
import { type ErrorRecord, errorRecord } from '../errors/error.js';
import type { User } from '../host/users.js';
import { qemuUser } from '../machine/libvirt-host.js';
import { allowSearch, closedDirectories, pathTo } from '../tools/acl.js';

/**
 * Grants libvirt's QEMU, which opens the delivered disks in place, passage through those `directories` that
 * exist and are closed to it, and with `inherit` through directories created in them. It can then open what
 * it knows the name of and has been given, but list nothing. Returns why that failed, or null. Without such a
 * user there is nothing to do.
 */
export async function grantQemuAccess(
  directories: readonly string[],
  options: { inherit?: boolean; signal?: AbortSignal } = {},
): Promise<ErrorRecord | null> {
  const user = await qemuUser();
  if (user === null) return null;
  try {
    const closed = await closedDirectories(user, directories, options.signal);
    await allowSearch(user, closed, options);
    return null;
  } catch (error) {
    options.signal?.throwIfAborted();
    return errorRecord(error);
  }
}

/**
 * Returns the directories on a bundle's final path that `user` still may not pass through. `bundleDirectory`
 * is where the bundle is until it is published.
 */
export async function stillClosed(
  user: User,
  { bundleDirectory, finalDirectory }: { bundleDirectory: string; finalDirectory: string },
  signal?: AbortSignal,
): Promise<string[]> {
  const above = await closedDirectories(user, pathTo(dirname(finalDirectory)), signal);
  const own = await closedDirectories(user, [bundleDirectory], signal);
  return own.length === 0 ? above : [...above, finalDirectory];
}
