import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** `h2k-<pid>-…`: the name says whose it is, so that what a killed process left can be told from what is in use. */
const NAME = /^h2k-(\d+)-/;
/** Unix sockets go into it, and their paths must stay under 108 bytes. */
const MAX_BASE_LENGTH = 64;

/** A new directory for sockets and other files that nothing outlives. The caller removes it. */
export function socketDirectory(): Promise<string> {
  return mkdtemp(join(base(), `h2k-${process.pid}-`));
}

/** Removes what processes that are gone (kill -9, power loss) left there. What belongs to another user stays. */
export async function sweepSocketDirectories(): Promise<void> {
  for (const name of await readdir(base())) {
    const pid = Number(NAME.exec(name)?.[1] ?? process.pid);
    if (isAlive(pid)) continue;
    await rm(join(base(), name), { recursive: true, force: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EACCES' && error.code !== 'EPERM') throw error;
    });
  }
}

function base(): string {
  return tmpdir().length <= MAX_BASE_LENGTH ? tmpdir() : '/tmp';
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, as another user.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
