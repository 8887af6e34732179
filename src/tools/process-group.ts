import type { ChildProcess } from 'node:child_process';

/** SIGKILL to a detached child and everything that it started. */
export function killGroup(child: Pick<ChildProcess, 'pid'>): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // ESRCH: the group is gone. EPERM: what is left of it runs as another user (a hook's sudo).
  }
}
