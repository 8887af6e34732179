import type { Stats } from 'node:fs';
import { type FileHandle, lstat, mkdir, readdir, realpath, rename, rm } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import type { Logger } from 'pino';
import { isErrorCode } from '../../errors/errno.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { syncPath } from '../../files/durable.js';
import { hasReadLease, openToRead, takeReadLease } from '../../files/lease.js';
import { usedBytes } from '../../files/space.js';
import type { DropPlace } from '../../model/drop.js';
import { printable } from '../../text/escape-terminal.js';
import { copyDrop } from './copy-drop.js';
import { listSource, type SourceFile, sourceId } from './list-source.js';

/**
 * What of the host a tool has to see to read a drop. It must not write to any of that, and may have the work
 * directory to write to: of a copy, the drop itself is named too.
 */
export function dropPaths({ directory, entries, original }: DropPlace): string[] {
  const places = original === undefined ? [directory] : [directory, original];
  return places.flatMap((place) => entries.map((name) => join(place, name)));
}

export interface SourceHold {
  /** What the stages read: the drop itself, or a copy of this process' own. */
  source: DropPlace;
  /** The drop as it was when the hold began. */
  files: SourceFile[];
  /** Aborts with `source.open-for-writing` when somebody wants to write to a file that is read. */
  signal: AbortSignal;
  /** Throws `source.open-for-writing` when that happened since the hold began, however short ago. */
  assert(): void;
  /** Whoever waits may write now. */
  release(): Promise<void>;
}

export interface HoldRequest {
  source: DropPlace;
  workDirectory: string;
  /** `StageContext.reserve`: asked before a copy is made. */
  reserve(bytes: number, options: { atLeast: true }): Promise<void>;
  signal: AbortSignal;
  log: Logger;
}

/**
 * The kernel keeps a writer waiting for /proc/sys/fs/lease-break-time seconds (45): this and the end of the
 * tools are far less.
 */
const LOOK_MILLISECONDS = 500;
const COPY_PREFIX = 'private-source-';
/** FETCH refuses a drop of more. */
const MAX_FILES = 10_000;
const ELSEWHERE = ['ELOOP', 'ENXIO', 'ENODEV'];

/**
 * From here to `release` nobody changes what the stages read. A claimed file is still its owner's inode, who
 * can open a descriptor again for writing (/proc/self/fd) whatever the path's permissions are: so a read
 * lease is held on every file. Where one cannot be had, and where a directory belongs to somebody who could
 * exchange names, the stages get a copy in the work directory (blocks are shared where the filesystem can).
 * Errors: `source.open-for-writing`, `source.changed`, those of `reserve`, those of the file system.
 */
export async function holdSource(request: HoldRequest): Promise<SourceHold> {
  const { source, workDirectory, log } = request;
  const handles: FileHandle[] = [];
  const release = async () => {
    for (const handle of handles.splice(0)) await handle.close();
  };
  try {
    // First of all: it refuses names that no other call could use.
    await listSource(source.directory, source.entries);
    const reason = (await exchangeable(request)) ?? (await takeLeases(source, handles));
    const files = await listSource(source.directory, source.entries);
    if (reason === null) return holdLeases(source, files, handles, release);
    await release();
    const directory = await privateCopy(request, files, reason);
    log.debug({ directory }, 'the copy is read instead of the drop');
    return {
      source: {
        directory,
        entries: source.entries,
        ...(isInside(source.directory, workDirectory) ? { original: source.directory } : {}),
      },
      files,
      signal: new AbortController().signal,
      assert() {},
      release,
    };
  } catch (error) {
    await release();
    throw error;
  }
}

function holdLeases(
  source: DropPlace,
  files: SourceFile[],
  handles: readonly FileHandle[],
  release: () => Promise<void>,
): SourceHold {
  const broken = new AbortController();
  const isHeld = () => handles.every(hasReadLease);
  const timer = setInterval(() => {
    if (!isHeld()) broken.abort(openForWriting('a file of the drop was opened for writing'));
  }, LOOK_MILLISECONDS);
  timer.unref();
  return {
    source,
    files,
    signal: broken.signal,
    assert() {
      broken.signal.throwIfAborted();
      if (!isHeld()) throw openForWriting('a file of the drop was opened for writing');
    },
    async release() {
      clearInterval(timer);
      await release();
    },
  };
}

/** Null when every file has its lease (`handles` are those), or needs none; otherwise why not. */
async function takeLeases(source: DropPlace, handles: FileHandle[]): Promise<string | null> {
  let refused: string | null = null;
  for (const path of await filesOf(source)) {
    const handle = await openToRead(path).catch((error: unknown) => {
      // A link, a socket, a device: FETCH refuses it.
      if (isErrorCode(error, ...ELSEWHERE)) return null;
      throw error;
    });
    if (handle === null) continue;
    const stats = await handle.stat();
    const lease = stats.isFile() ? await takeReadLease(path, handle) : null;
    if (lease === 'held') handles.push(handle);
    else await handle.close();
    if (lease === 'writer') throw openForWriting(`${printable(path)} is open for writing`);
    // Where there are none: what is ours alone needs none.
    if (lease === 'unsupported' && !isTrusted(stats)) refused = `no lease can be had on ${printable(path)}`;
  }
  return refused;
}

async function filesOf({ directory, entries }: DropPlace): Promise<string[]> {
  const files = await listSource(directory, entries);
  return files.slice(0, MAX_FILES).map(({ path }) => join(directory, path));
}

/** Why somebody else could put another file in the place of one of the drop; null where nobody can. */
async function exchangeable({ source, workDirectory }: HoldRequest): Promise<string | null> {
  const { directory, entries } = source;
  // Who may move the work directory could exchange a copy in it, too.
  if (isInside(directory, workDirectory)) return exchangeableBelow(directory, entries);
  for (let child = await realpath(directory); child !== dirname(child); child = dirname(child)) {
    if (await mayExchange(dirname(child), [child])) return `${dirname(child)} may be changed by another user`;
  }
  return exchangeableBelow(directory, entries);
}

async function exchangeableBelow(directory: string, names: readonly string[]): Promise<string | null> {
  const paths = names.map((name) => join(directory, name));
  if (await mayExchange(directory, paths)) return `${directory} may be changed by another user`;
  for (const path of paths) {
    if (!(await lstat(path)).isDirectory()) continue;
    const reason = await exchangeableBelow(path, await readdir(path));
    if (reason !== null) return reason;
  }
  return null;
}

const STICKY = 0o1000;

/** In a sticky directory only the owner of a file may rename it (inode(7)), beside the directory's own. */
async function mayExchange(directory: string, paths: readonly string[]): Promise<boolean> {
  const stats = await lstat(directory);
  if (!isTrustedUser(stats.uid)) return true;
  if (isTrusted(stats)) return false;
  if ((stats.mode & STICKY) === 0) return true;
  for (const path of paths) if (!isTrustedUser((await lstat(path)).uid)) return true;
  return false;
}

function isTrustedUser(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.();
}

/**
 * Nobody but this user and root may write to it. One's own group counts as oneself: many systems give each
 * user a group of their own.
 */
function isTrusted({ uid, gid, mode }: Stats): boolean {
  const groupWrites = (mode & 0o020) !== 0 && gid !== 0 && gid !== process.getegid?.();
  return isTrustedUser(uid) && (mode & 0o002) === 0 && !groupWrites;
}

/** Those that are in a work directory, where one is: at most one that is whole. */
export async function privateCopies(workDirectory: string): Promise<string[]> {
  const names = await readdir(workDirectory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return names.filter((name) => name.startsWith(COPY_PREFIX)).map((name) => join(workDirectory, name));
}

/** Where the copy is of the drop with that `sourceId`, if there is one. */
export function privateCopyOf(id: string, workDirectory: string): string {
  return join(workDirectory, `${COPY_PREFIX}${id}`);
}

/** Made once: it appears under its name when it is whole, and the name is that of the drop as it was then. */
async function privateCopy(
  { source, workDirectory, reserve, signal, log }: HoldRequest,
  files: readonly SourceFile[],
  reason: string,
): Promise<string> {
  const path = privateCopyOf(sourceId(files), workDirectory);
  const copies = await privateCopies(workDirectory);
  for (const other of copies) if (other !== path) await rm(other, { recursive: true });
  if (copies.includes(path)) return path;
  const used = await Promise.all(dropPaths(source).map(usedBytes));
  // FLATTEN knows what comes beside it.
  await reserve(
    used.reduce((sum, bytes) => sum + bytes, 0),
    { atLeast: true },
  );
  log.info({ reason }, 'the drop is copied, so that nobody else can change what is read');
  const partial = `${path}.part`;
  await mkdir(partial, { mode: 0o700 });
  const { directory } = source;
  const refuseHardLinks = isInside(directory, workDirectory);
  try {
    await copyDrop({ directory, names: source.entries, target: partial, refuseHardLinks, signal });
  } catch (error) {
    // Half a copy would keep the disk full that it failed on.
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
  await rename(partial, path);
  await syncPath(workDirectory);
  return path;
}

function isInside(path: string, directory: string): boolean {
  return path.startsWith(directory + sep);
}

function openForWriting(message: string): Hyper2kvmError {
  return new Hyper2kvmError('source.open-for-writing', message);
}
