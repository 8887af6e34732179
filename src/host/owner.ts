import { readFileSync, readlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

/**
 * A process, so that it is not taken for another one: a pid alone may be somebody else's by now, and that of
 * a daemon in a container is nobody's or somebody else's out here.
 */
export interface Owner {
  /** Inode of its pid namespace. */
  namespace: number;
  pid: number;
  /** In clock ticks after the host's start. */
  started: number;
}

let own: Owner | undefined;

export function ownOwner(): Owner {
  own ??= {
    namespace: Number(readlinkSync('/proc/self/ns/pid').replace(/\D/g, '')),
    pid: process.pid,
    started: startTime(readFileSync('/proc/self/stat', 'latin1')),
  };
  return own;
}

/** Whether that process was in this pid namespace and has ended; of those in another one nothing is known. */
export async function isGone({ namespace, pid, started }: Owner): Promise<boolean> {
  if (namespace !== ownOwner().namespace) return false;
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => null);
  return stat === null || startTime(stat) !== started;
}

/** Field 22 of proc_pid_stat(5); the second one, the name in parentheses, may hold spaces and parentheses. */
function startTime(stat: string): number {
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
}
