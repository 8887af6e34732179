import { constants } from 'node:os';
import type { GuestWriter } from '../access/guest-writer.js';
import { hasErrno } from './errors.js';
import type { ApplianceSession } from './session.js';

const XATTR = 'security.selinux';
const { ENODATA, ENOTSUP } = constants.errno;

/**
 * Gives a new file at `path` its neighbour's label; if no neighbour has one, the guest relabels itself at its
 * next boot.
 */
export async function labelNew(
  session: ApplianceSession,
  writer: Pick<GuestWriter, 'setXattr'>,
  path: string,
): Promise<void> {
  const parent = path.slice(0, path.lastIndexOf('/')) || '/';
  const names = await session.call('ls', parent);
  for (const neighbour of [...likeliest(names, path), '.']) {
    try {
      // The label of a link itself, because masked units and dangling links are common neighbours.
      const value = await session.call('lgetxattr', `${parent}/${neighbour}`, XATTR);
      await writer.setXattr(path, XATTR, value);
      return;
    } catch (error) {
      // The ESP's vfat has no labels at all.
      if (hasErrno(error, ENOTSUP)) return;
      // This neighbour has no label, but the next may have one.
      if (!hasErrno(error, ENODATA)) throw error;
    }
  }
  await session.call('write', '/.autorelabel', Buffer.alloc(0));
}

/**
 * Returns at most three neighbours: files of the same kind have the same label. Without any, the directory's
 * own label is what the kernel would assign.
 */
function likeliest(names: readonly string[], path: string): string[] {
  const own = path.slice(path.lastIndexOf('/') + 1);
  const kind = /\.\w+$/.exec(own)?.[0];
  return names.filter((name) => name !== own && kind !== undefined && name.endsWith(kind)).slice(0, 3);
}
