import { dirname } from 'node:path';
import { type ErrorRecord, errorRecord } from '../errors/error.js';
import type { User } from '../host/users.js';
import { qemuUser } from '../machine/libvirt-host.js';
import { allowSearch, closedDirectories, pathTo } from '../tools/acl.js';

/**
 * Lets libvirt's QEMU, which opens the delivered disks where they are, pass through `directories` as far as
 * they exist and are closed to it, and with `inherit` through those that are made in them. It can then open
 * what it knows the name of and has been given, and list nothing. Returns why that could not be done, or
 * null; without such a user there is nothing to do.
 */
export async function letQemuPass(
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
 * Returns the directories of a bundle's final path that `user` still may not pass through. `bundleDirectory`
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
