import { constants } from 'node:fs';
import { lstat, open } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrorCode } from '../../../../errors/errno.js';
import { Hyper2kvmError } from '../../../../errors/error.js';

const DIRECTORY = '/etc/hyper2kvm/credentials';
const LARGEST_BYTES = 64 * 1024;
const OTHERS = 0o077;
const GROUP_READS = 0o040;

/** Where credentials are looked for; tests set other places. */
export interface CredentialPlaces {
  /** `$CREDENTIALS_DIRECTORY` of a unit with `LoadCredential=remote:/etc/hyper2kvm/credentials`. */
  systemd: string | undefined;
  directory: string;
}

function places(): CredentialPlaces {
  return { systemd: process.env.CREDENTIALS_DIRECTORY, directory: DIRECTORY };
}

/**
 * Returns a credential without its final line break. It is read at each use and kept nowhere. One that others
 * could read is refused, because then it is no secret any more. Errors: `remote.secret-unreadable`.
 */
export async function readCredential(name: string, from: CredentialPlaces = places()): Promise<string> {
  return (await credentialFile(name, from)).text;
}

/** The same with its file, for a program that reads it itself. */
export async function credentialFile(
  name: string,
  from: CredentialPlaces = places(),
): Promise<{ path: string; text: string }> {
  if (from.systemd !== undefined) {
    // systemd has made it readable for this service only.
    const path = join(from.systemd, `remote_${name}`);
    const text = await readSecret(path, 'by systemd');
    if (text !== null) return { path, text };
  }
  const path = join(from.directory, name);
  const text = await readSecret(path, 'by its mode');
  if (text !== null) return { path, text };
  throw unreadable(`${path} does not exist`);
}

/** Returns null if there is no such file. */
async function readSecret(path: string, guarded: 'by systemd' | 'by its mode'): Promise<string | null> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    async (cause: unknown) => {
      if (isErrorCode(cause, 'ENOENT', 'ENOTDIR')) return null;
      if (isErrorCode(cause, 'ELOOP') && (await lstat(path)).isSymbolicLink())
        throw unreadable(`${path} is a symbolic link`);
      throw unreadable(`${path} cannot be opened`, cause);
    },
  );
  if (file === null) return null;
  try {
    const { mode, uid, gid, size } = await file.stat();
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) throw unreadable(`${path} is not a regular file`);
    if (size > LARGEST_BYTES) throw unreadable(`${path} is larger than 64 KiB`);
    if (guarded === 'by its mode' && !isPrivate({ mode, uid, gid }))
      throw unreadable(
        `${path} may be read or written by other users, or does not belong to root or the service`,
      );
    const text = (await file.readFile('utf8')).replace(/\r?\n$/, '');
    if (text.trim() === '') throw unreadable(`${path} is empty`);
    return text;
  } finally {
    await file.close();
  }
}

/** The service's own group may read it, so that root can keep the file: `root:hyper2kvm` with mode 0640. */
function isPrivate({ mode, uid, gid }: { mode: number; uid: number; gid: number }): boolean {
  const isOurs = uid === 0 || uid === process.geteuid?.();
  const others = mode & OTHERS;
  return isOurs && (others === 0 || (others === GROUP_READS && gid === process.getegid?.()));
}

function unreadable(message: string, cause?: unknown): Hyper2kvmError {
  return new Hyper2kvmError('remote.secret-unreadable', message, { cause });
}
