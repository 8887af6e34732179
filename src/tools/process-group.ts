import type { ChildProcess } from 'node:child_process';

/** Sends SIGKILL to a detached child and everything that it started. */
export function killGroup(child: Pick<ChildProcess, 'pid'>): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // ESRCH: the group no longer exists. EPERM: the rest of it runs as another user (a hook's sudo).
  }
}
