import { readFileSync, readlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

/**
 * Identifies a process unambiguously: a pid alone may have been reused, and a pid from inside a container
 * means something else outside.
 */
export interface Owner {
  /** Inode of its pid namespace. */
  namespace: number;
  pid: number;
  /** In clock ticks since the host's boot. */
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

/**
 * Whether that process was in this pid namespace and has exited; nothing is known about those in other
 * namespaces.
 */
export async function isGone({ namespace, pid, started }: Owner): Promise<boolean> {
  if (namespace !== ownOwner().namespace) return false;
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => null);
  return stat === null || startTime(stat) !== started;
}

/**
 * Returns field 22 of proc_pid_stat(5); the second field, the name in parentheses, may contain spaces and
 * parentheses.
 */
function startTime(stat: string): number {
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
}
