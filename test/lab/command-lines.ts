import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrorCode } from '#hyper2kvm/errors/errno.js';

const POLL_MILLISECONDS = 10;

/** Collects the command lines of all processes that this machine starts while `work` goes on. */
export async function commandLinesDuring(work: () => Promise<void>): Promise<Set<string>> {
  const lines = new Set<string>();
  const before = new Set(processes());
  let isOver = false;
  const watch = async () => {
    while (!isOver) {
      for (const id of processes()) if (!before.has(id)) lines.add(commandLine(id));
      await sleep(POLL_MILLISECONDS);
    }
  };
  const watching = watch();
  try {
    await work();
  } finally {
    isOver = true;
    await watching;
  }
  return lines;
}

const processes = (): string[] => readdirSync('/proc').filter((name) => /^\d+$/.test(name));

/** Empty for a process that has ended. */
function commandLine(id: string): string {
  try {
    return readFileSync(`/proc/${id}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch (error) {
    if (isErrorCode(error, 'ENOENT', 'ESRCH')) return '';
    throw error;
  }
}
