import { readdir, readFile } from 'node:fs/promises';

export interface MarkedProcess {
  pid: number;
  command: string;
}

/**
 * Processes other than this one that carry `name=value` in their environment, which children inherit however
 * far they detach. Needs the right to read `/proc/PID/environ`: one's own processes.
 */
export async function markedProcesses(name: string, value: string): Promise<MarkedProcess[]> {
  const found: MarkedProcess[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    // A process may end, or belong to somebody else, at any time between these reads.
    const environment = await readFile(`/proc/${entry}/environ`, 'latin1').catch(() => '');
    if (!environment.split('\0').includes(`${name}=${value}`)) continue;
    const command = await readFile(`/proc/${entry}/cmdline`, 'latin1').catch(() => '');
    found.push({ pid: Number(entry), command: command.replaceAll('\0', ' ').trim() });
  }
  return found;
}

export function endProcesses(processes: readonly MarkedProcess[]): void {
  for (const { pid } of processes) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Ended by itself meanwhile.
    }
  }
}
