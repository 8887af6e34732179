import { posix } from 'node:path';
import type { GuestWriter } from '../access/guest-writer.js';
import { Hyper2kvmError } from '../errors/error.js';
import { NTFS_ACL, protectedDescriptor } from '../guest/security-descriptor.js';
import { unproven } from './prove-outcomes.js';

/**
 * Writes a file of ours into a Windows guest, replacing what is there, so that only SYSTEM and Administrators
 * may change it; reads it back. Its directory must have been checked by `refuseLinks`.
 */
export async function writeProtected(guest: GuestWriter, path: string, content: Buffer): Promise<void> {
  const found = await guest.lstat(path);
  if (found?.type === 'directory') throw unexpected(path, 'is a directory');
  // Not in place: it may be compressed (WOF), or have another name in the component store.
  if (found !== null) await guest.remove(path);
  await guest.create(path, content, 0o755);
  await protect(guest, path, 'file');
  if (!(await guest.read(path)).equals(content)) throw unproven(path, 'its content differs');
}

/** Gives a file or directory the access rights of what is ours, and reads them back. */
export async function protect(guest: GuestWriter, path: string, type: 'file' | 'directory'): Promise<void> {
  const wanted = protectedDescriptor(type);
  await guest.setXattr(path, NTFS_ACL, wanted);
  if (!(await guest.getXattr(path, NTFS_ACL)).equals(wanted))
    throw unproven(path, 'its access rights differ');
}

/** Rejects if the directory, or one above it, is a link (a junction): it would lead elsewhere. */
export async function refuseLinks(guest: GuestWriter, directory: string): Promise<void> {
  const names = directory.split('/').filter((name) => name !== '');
  for (const index of names.keys()) {
    const path = `/${names.slice(0, index + 1).join('/')}`;
    const found = await guest.lstat(path);
    if (found === null) return;
    if (found.type !== 'directory') throw unexpected(path, 'is not a directory');
  }
}

/** Rejects if `path` is not a file itself, or its directory is reached through a link. */
export async function refuseLinkedFile(guest: GuestWriter, path: string): Promise<void> {
  await refuseLinks(guest, posix.dirname(path));
  if ((await guest.lstat(path))?.type !== 'file') throw unexpected(path, 'is not a regular file');
}

function unexpected(path: string, why: string): Hyper2kvmError {
  return new Hyper2kvmError(
    'fix.unexpected-file',
    `${path} ${why} in the guest, so nothing is written there`,
  );
}
