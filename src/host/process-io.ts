import { readFileSync } from 'node:fs';

/** Bytes, as the kernel counts them for a process (proc_pid_io(5)). */
export interface ProcessIo {
  /** Read from files, be it from the page cache or from a disk. */
  read: number;
  /** Read from disks. */
  deviceRead: number;
  /** Written to files on disks, counted when the page cache gets it. */
  deviceWritten: number;
}

/**
 * Returns the counts of a process and of all that it started, as far as they still run; zeros where the kernel
 * does not count, or not for this user.
 */
export function processIo(pid: number): ProcessIo {
  return childrenOf(pid)
    .map(processIo)
    .reduce(addIo, ioOf(`/proc/${pid}/io`));
}

/** Returns the counts of the calling thread alone. */
export function threadIo(): ProcessIo {
  return ioOf('/proc/thread-self/io');
}

export function addIo(left: ProcessIo, right: ProcessIo): ProcessIo {
  return {
    read: left.read + right.read,
    deviceRead: left.deviceRead + right.deviceRead,
    deviceWritten: left.deviceWritten + right.deviceWritten,
  };
}

function ioOf(path: string): ProcessIo {
  const counts = new Map(
    textOf(path)
      .split('\n')
      .map((line) => {
        const [name, value] = line.split(': ');
        return [name, Number(value)];
      }),
  );
  const count = (name: string) => counts.get(name) ?? 0;
  return { read: count('rchar'), deviceRead: count('read_bytes'), deviceWritten: count('write_bytes') };
}

function childrenOf(pid: number): number[] {
  return textOf(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
}

/** The process may have ended meanwhile, or belong to another user; not every kernel counts. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
