import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrorCode } from '../errors/errno.js';
import { isGone, ownOwner } from '../host/owner.js';

/**
 * Marks the environment of every program started here with its owner, `<pid namespace>:<pid>:<start time>`.
 */
const OWNER = 'HYPER2KVM_OWNER';
const GONE_SECONDS = 5;

export function ownerEnvironment(): Record<string, string> {
  const { namespace, pid, started } = ownOwner();
  return { [OWNER]: [namespace, pid, started].join(':') };
}

export interface Orphan {
  pid: number;
  command: string;
}

/**
 * Kills programs whose owner, a process of this pid namespace, no longer exists. PR_SET_PDEATHSIG ends nearly
 * all of them, but a program between its fork and its prctl(2) survives a kill -9, and bubblewrap's child
 * then waits forever for its parent. Returns those that were killed; programs of other users are left alone.
 */
export async function endOrphans(): Promise<Orphan[]> {
  const orphans = await findOrphans();
  for (const { pid } of orphans) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      // It has exited meanwhile, or belongs to another user.
      if (!isErrorCode(error, 'ESRCH', 'EPERM')) throw error;
    }
  }
  const end = performance.now() + GONE_SECONDS * 1000;
  while ((await findOrphans()).length > 0 && performance.now() < end) await sleep(50);
  return orphans;
}

async function findOrphans(): Promise<Orphan[]> {
  const orphans: Orphan[] = [];
  const mark = `${OWNER}=`;
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    // A process may exit at any time between these reads, and those of other users cannot be read.
    const environment = await readFile(`/proc/${entry}/environ`, 'latin1').catch(() => '');
    const owner = environment.split('\0').find((text) => text.startsWith(mark));
    if (owner === undefined) continue;
    const [namespace = 0, pid = 0, started = 0] = owner.slice(mark.length).split(':').map(Number);
    if (!(await isGone({ namespace, pid, started }))) continue;
    const command = await readFile(`/proc/${entry}/cmdline`, 'latin1').catch(() => '');
    orphans.push({ pid: Number(entry), command: command.replaceAll('\0', ' ').trim() });
  }
  return orphans;
}
