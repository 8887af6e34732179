import type { Stats } from 'node:fs';
import { constants } from 'node:fs';
import {
  type FileHandle,
  lstat,
  mkdir,
  open,
  readdir,
  readlink,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { refusedSpecial } from '../disk/file-source.js';
import { isNotUtf8, printable, refusedName } from '../disk/names.js';
import { Hyper2kvmError } from '../errors.js';
import { syncTree } from '../host/durable.js';
import { openToRead } from '../host/lease.js';
import { run } from '../tools/run.js';

export interface CopyRequest {
  /** Absolute directory, and the names in it that are copied. Others may change it meanwhile. */
  directory: string;
  names: readonly string[];
  /** Absolute directory that is there already; only this process' user may write to it. */
  target: string;
  /**
   * Refuse files that have another name: in the spool they would give away what the service's user may read.
   */
  refuseHardLinks: boolean;
  signal: AbortSignal;
}

const COPY_SECONDS = 7 * 86_400;
/**
 * Below this a process for each file costs more than it saves: cp(1) keeps holes, shares blocks and can be
 * killed.
 */
const SMALL_BYTES = 1024 ** 2;
/** Others may read what the owner let them read; nobody else may write. */
const KEPT_MODE = 0o755;

/**
 * Copies a drop into inodes of this process' own and syncs them. Its owner may exchange files, directories
 * and links at any moment: everything is opened from the handle of its directory without following a link,
 * and copied from the handle. Links are copied as links.
 * Errors: `fetch.refused-special`, `fetch.refused-name`, `source.changed` (a file was written to while it was
 * copied).
 */
export async function copyDrop(request: CopyRequest): Promise<void> {
  const directory = await open(request.directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await copyNames(directory, request.names, request.target, request);
  } finally {
    await directory.close();
  }
  await syncTree(request.target);
}

async function copyNames(
  directory: FileHandle,
  names: readonly string[],
  target: string,
  request: CopyRequest,
): Promise<void> {
  for (const name of names) {
    request.signal.throwIfAborted();
    // The handle's own path (proc_pid_fd(5)): no name above can be exchanged any more.
    const from = join(handlePath(directory), name);
    const to = join(target, name);
    const stats = await lstat(from).catch((error: unknown) => {
      throw isNotUtf8(name) ? refusedName(name) : error;
    });
    if (stats.isSymbolicLink()) await symlink(await readlink(from), to);
    else if (stats.isDirectory()) await copyDirectory(from, to, request);
    else if (stats.isFile()) await copyFile(from, to, name, request);
    // It has no content, and nothing is ever done with it: FETCH refuses it for what it is.
    else await run('mkfifo', ['--mode=600', '--', to]);
  }
}

async function copyDirectory(from: string, to: string, request: CopyRequest): Promise<void> {
  const directory = await open(from, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    const { mode } = await directory.stat();
    await mkdir(to, { mode: (mode & KEPT_MODE) | 0o700 });
    await copyNames(directory, await readdir(handlePath(directory)), to, request);
  } finally {
    await directory.close();
  }
}

async function copyFile(from: string, to: string, name: string, request: CopyRequest): Promise<void> {
  const file = await openToRead(from);
  try {
    const before = await file.stat();
    if (!before.isFile()) throw changed(name);
    if (request.refuseHardLinks && before.nlink > 1)
      throw refusedSpecial(printable(name), `has ${before.nlink - 1} more hard link(s)`);
    const mode = (before.mode & KEPT_MODE) | 0o600;
    if (before.size <= SMALL_BYTES) await writeFile(to, await file.readFile(), { mode, flag: 'wx' });
    else {
      await writeFile(to, '', { mode, flag: 'wx' });
      const source = `/proc/${process.pid}/fd/${file.fd}`;
      await run('cp', ['--reflink=auto', '--sparse=auto', '--', source, to], {
        signal: request.signal,
        timeoutSeconds: COPY_SECONDS,
      });
    }
    if (!isSame(before, await file.stat())) throw changed(name);
    await utimes(to, before.atime, before.mtime);
  } finally {
    await file.close();
  }
}

function handlePath({ fd }: FileHandle): string {
  return `/proc/self/fd/${fd}`;
}

function isSame(a: Stats, b: Stats): boolean {
  return a.ctimeMs === b.ctimeMs && a.mtimeMs === b.mtimeMs && a.size === b.size;
}

function changed(name: string): Hyper2kvmError {
  return new Hyper2kvmError('source.changed', `${printable(name)} was written to while it was copied`, {
    advice: 'Whoever copied it was not done: wait for the copy to end, or copy to a .part name and rename.',
  });
}
