import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isErrorCode } from '../errors/errno.js';
import { isGone, ownOwner } from '../host/owner.js';

/**
 * Matches `h2k-<owner>-…`, with the owner's numbers in base 36. The name shows the owner, so that what a
 * killed process left can be distinguished from what is in use.
 */
const NAME = /^h2k-([0-9a-z]+)\.([0-9a-z]+)\.([0-9a-z]+)-/;
/** Paths of unix sockets must stay under 108 bytes; libguestfs adds 31 to the 33 of a name. */
const MAX_BASE_LENGTH = 43;

/** Creates a directory for sockets and other temporary files. The caller removes it. */
export function socketDirectory(): Promise<string> {
  const { namespace, pid, started } = ownOwner();
  const owner = [namespace, pid, started].map((number) => number.toString(36)).join('.');
  return mkdtemp(join(base(), `h2k-${owner}-`));
}

/** Removes what killed processes (kill -9, power loss) left there, except what belongs to another user. */
export async function sweepSocketDirectories(): Promise<void> {
  for (const name of await readdir(base())) {
    const numbers = NAME.exec(name)
      ?.slice(1)
      .map((text) => Number.parseInt(text, 36));
    if (numbers === undefined) continue;
    const [namespace = 0, pid = 0, started = 0] = numbers;
    if (!(await isGone({ namespace, pid, started }))) continue;
    await rm(join(base(), name), { recursive: true, force: true }).catch((error: unknown) => {
      if (!isErrorCode(error, 'EACCES', 'EPERM')) throw error;
    });
  }
}

function base(): string {
  return tmpdir().length <= MAX_BASE_LENGTH ? tmpdir() : '/tmp';
}
