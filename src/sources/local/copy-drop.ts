import { randomUUID } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import {
  type FileHandle,
  lstat,
  mkdir,
  open,
  readdir,
  readlink,
  rename,
  symlink,
  utimes,
} from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { refuseHardLinks } from '../../disk/file-source.js';
import type { Hyper2kvmError } from '../../errors/error.js';
import { syncTree } from '../../files/durable.js';
import { openToRead } from '../../files/lease.js';
import { WEEK_SECONDS } from '../../host/durations.js';
import { printable } from '../../text/escape-terminal.js';
import { run } from '../../tools/run.js';
import { sourceChanged } from './list-source.js';

export interface CopyRequest {
  /** The absolute directory, and the names in it that are copied. Others may change it meanwhile. */
  directory: string;
  names: readonly string[];
  /** An existing absolute directory that only this process's user may write to. */
  target: string;
  /**
   * Refuse files with further hard links: in the spool they would disclose files that only the service's user
   * may read.
   */
  refuseHardLinks: boolean;
  signal: AbortSignal;
}

interface Copying extends Pick<CopyRequest, 'refuseHardLinks' | 'signal'> {
  /** Refuse a file that is written to while it is copied. */
  mustBeUnchanged: boolean;
  /** The directory where files are made before they are moved to their names. */
  scratch: string;
}

/** For a smaller file, starting a process costs more than it saves. */
const SMALL_BYTES = 256 * 1024;
/** Others may read what the owner let them read; nobody else may write. */
const KEPT_MODE = 0o755;
const SLASH = Buffer.from('/');

/**
 * Copies a drop to new inodes that belong to this process, and syncs them. Because its owner may swap files,
 * directories and links at any moment, everything is opened relative to the handle of its directory, without
 * following a link, and copied from the handle. Links are copied as links. Names need not be UTF-8. Errors:
 * `fetch.refused-special`, `source.changed` (a file was written to while it was copied).
 */
export async function copyDrop(request: CopyRequest): Promise<void> {
  const { names, target } = request;
  const copying = { ...request, mustBeUnchanged: true, scratch: target };
  const directory = await open(request.directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    for (const name of names)
      await copyEntry(directory, Buffer.from(name), Buffer.from(join(target, name)), copying);
  } finally {
    await directory.close();
  }
  await syncTree(target);
}

/** Copies a file or directory in the same way to another name, which must be free, and syncs it. */
export async function copyTree(from: string, to: string, signal: AbortSignal): Promise<void> {
  const directory = await open(dirname(from), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const copying = { refuseHardLinks: false, mustBeUnchanged: false, signal, scratch: dirname(to) };
    await copyEntry(directory, Buffer.from(basename(from)), Buffer.from(to), copying);
  } finally {
    await directory.close();
  }
  await syncTree(to);
}

async function copyEntry(directory: FileHandle, name: Buffer, to: Buffer, copying: Copying): Promise<void> {
  copying.signal.throwIfAborted();
  // The handle's own path (proc_pid_fd(5)), so that no directory above can be swapped any more.
  const from = inside(Buffer.from(`/proc/self/fd/${directory.fd}`), name);
  const stats = await lstat(from);
  if (stats.isSymbolicLink()) await symlink(await readlink(from, { encoding: 'buffer' }), to);
  else if (stats.isDirectory()) await copyDirectory(from, to, copying);
  else if (stats.isFile()) await copyFile(from, to, name.toString(), copying);
  else await standIn(to, copying);
}

async function copyDirectory(from: Buffer, to: Buffer, copying: Copying): Promise<void> {
  const directory = await open(from, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    const { mode } = await directory.stat();
    await mkdir(to, { mode: (mode & KEPT_MODE) | 0o700 });
    const names = await readdir(`/proc/self/fd/${directory.fd}`, { encoding: 'buffer' });
    for (const name of names) await copyEntry(directory, name, inside(to, name), copying);
  } finally {
    await directory.close();
  }
}

async function copyFile(from: Buffer, to: Buffer, name: string, copying: Copying): Promise<void> {
  const file = await openToRead(from);
  try {
    const before = await file.stat();
    if (!before.isFile()) throw changed(name);
    if (copying.refuseHardLinks) refuseHardLinks(name, before);
    const copy = await open(to, 'wx', (before.mode & KEPT_MODE) | 0o600);
    try {
      if (before.size <= SMALL_BYTES) await copy.writeFile(await file.readFile());
      else await copyContent(file, copy, copying.signal);
      if (copying.mustBeUnchanged && !isSame(before, await file.stat())) throw changed(name);
    } finally {
      await copy.close();
    }
    await utimes(to, before.atime, before.mtime);
  } finally {
    await file.close();
  }
}

/**
 * Copies by cp(1), because it keeps holes, shares blocks if the filesystem can, and can be killed at any
 * time.
 */
async function copyContent(from: FileHandle, to: FileHandle, signal: AbortSignal): Promise<void> {
  const paths = [from, to].map(({ fd }) => `/proc/${process.pid}/fd/${fd}`);
  const flags = ['--reflink=auto', '--sparse=auto'];
  await run('cp', [...flags, '--', ...paths], { signal, timeoutSeconds: WEEK_SECONDS });
}

/**
 * Makes a FIFO in place of a FIFO, a socket or a device: none of them has content, and FETCH refuses each of
 * them.
 */
async function standIn(to: Buffer, { scratch, signal }: Copying): Promise<void> {
  // Others may publish into the same directory.
  const made = join(scratch, `.stand-in-${randomUUID()}`);
  await run('mkfifo', ['--mode=600', '--', made], { signal });
  await rename(made, to);
}

function inside(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, SLASH, name]);
}

function isSame(a: Stats, b: Stats): boolean {
  return a.ctimeMs === b.ctimeMs && a.mtimeMs === b.mtimeMs && a.size === b.size;
}

function changed(name: string): Hyper2kvmError {
  return sourceChanged(`${printable(name)} was written to while it was copied`);
}
