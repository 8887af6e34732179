import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HostAccess, openHost } from '../ssh/open-host.js';
import { assertHost, type SshTarget } from '../ssh/target.js';

/**
 * Runs `work` with a connection to the host and a scratch directory of this host, which are gone afterwards.
 * `digest`: of the plan that is to be applied, for the backup's manifest.
 */
export async function withHost<Result>(
  target: SshTarget,
  { signal, backup, digest }: { signal: AbortSignal; backup: string; digest: string },
  work: (access: HostAccess, workDirectory: string) => Promise<Result>,
): Promise<Result> {
  assertHost(target.host);
  const workDirectory = await mkdtemp(join(tmpdir(), 'hyper2kvm-'));
  try {
    const access = await openHost(target, { workDirectory, signal, backup: { id: backup, digest } });
    try {
      return await work(access, workDirectory);
    } finally {
      await access.close();
    }
  } finally {
    await rm(workDirectory, { recursive: true, force: true });
  }
}

const BACKUP_ID = /^\d{8}T\d{6}Z-[0-9a-f]{6}$/;

/** Returns the name of a new backup: it sorts by time. */
export function newBackupId(now: Date): string {
  return `${now.toISOString().replace(/[-:]|\.\d+/g, '')}-${randomBytes(3).toString('hex')}`;
}

/** True for the name of a backup, which becomes part of a path on the host. */
export const isBackupId = (text: string): boolean => BACKUP_ID.test(text);
