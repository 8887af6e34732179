import { posix } from 'node:path';
import type { GuestReader } from '../access/guest-reader.js';
import type { GuestWriter } from '../access/guest-writer.js';
import { Hyper2kvmError } from '../errors/error.js';
import { NTFS_ACL, protectedDescriptor } from '../guest/security-descriptor.js';
import { unproven } from './prove-outcomes.js';

/**
 * Writes a file of ours into a Windows guest, replacing what is there, so that only SYSTEM and Administrators
 * may change it; reads it back. Its path must have been checked by `refuseOccupied`.
 */
export async function writeProtected(guest: GuestWriter, path: string, content: Buffer): Promise<void> {
  // Not in place: it may be compressed (WOF), or have another name in the component store.
  await guest.remove(path);
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

/**
 * Rejects if what is written to these files would end elsewhere: a directory, or one above it, is a link (a
 * junction), or a directory stands in the place of a file.
 */
export async function refuseOccupied(
  guest: GuestReader,
  files: readonly string[],
  directories: readonly string[],
): Promise<void> {
  const parents = new Set([...files.map((path) => posix.dirname(path)), ...directories]);
  for (const directory of parents) await refuseLinks(guest, directory);
  for (const path of files)
    if ((await guest.lstat(path))?.type === 'directory') throw unexpected(path, 'is a directory');
}

async function refuseLinks(guest: GuestReader, directory: string): Promise<void> {
  const names = directory.split('/').filter((name) => name !== '');
  for (const index of names.keys()) {
    const path = `/${names.slice(0, index + 1).join('/')}`;
    const found = await guest.lstat(path);
    if (found === null) return;
    if (found.type !== 'directory') throw unexpected(path, 'is not a directory');
  }
}

/** Rejects if `path` is not a file itself, or its directory is reached through a link. */
export async function refuseLinkedFile(guest: GuestReader, path: string): Promise<void> {
  await refuseLinks(guest, posix.dirname(path));
  if ((await guest.lstat(path))?.type !== 'file') throw unexpected(path, 'is not a regular file');
}

function unexpected(path: string, why: string): Hyper2kvmError {
  return new Hyper2kvmError(
    'fix.unexpected-file',
    `${path} ${why} in the guest, so nothing is written there`,
    { advice: 'Remove it on the source, or put back what Windows has there, and drop the VM again.' },
  );
}
