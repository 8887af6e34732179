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
 * Returns the host paths that a tool needs to read a drop and must not write to. It may write to the work
 * directory, so both the copy in there and the original are listed.
 */
export function dropPaths({ directory, entries, original }: DropPlace): string[] {
  const places = original === undefined ? [directory] : [directory, original];
  return places.flatMap((place) => entries.map((name) => join(place, name)));
}

export interface SourceHold {
  /** What the stages read: the drop itself, or a private copy. */
  source: DropPlace;
  /** The drop as it was when the hold began. */
  files: SourceFile[];
  /** Aborts with `source.open-for-writing` when another process tries to write to a file of the drop. */
  signal: AbortSignal;
  /** Throws `source.open-for-writing` if that happened since the hold began, even a moment ago. */
  assert(): void;
  /** Releases the leases; processes that wait to write continue. */
  release(): Promise<void>;
}

export interface HoldRequest {
  source: DropPlace;
  workDirectory: string;
  /** `StageContext.reserve`, called before a copy is made. */
  reserve(bytes: number, options: { atLeast: true }): Promise<void>;
  signal: AbortSignal;
  log: Logger;
}

/**
 * How often the leases are checked. The kernel blocks a writer for /proc/sys/fs/lease-break-time (45 s), and
 * this plus the time to stop the tools is far less.
 */
const CHECK_MILLISECONDS = 500;
const COPY_PREFIX = 'private-source-';
/** FETCH refuses a drop with more files. */
const MAX_FILES = 10_000;
const ELSEWHERE = ['ELOOP', 'ENXIO', 'ENODEV'];

/**
 * Ensures that until `release` nobody changes what the stages read. A claimed file is still an inode of its
 * owner, who can reopen a descriptor for writing (/proc/self/fd) regardless of the path's permissions, so a
 * read lease is held on every file. If a lease cannot be had, or another user could swap names in a
 * directory, the stages get a copy in the work directory (which shares blocks if the filesystem can). Errors:
 * `source.open-for-writing`, `source.changed`, those of `reserve`, those of the filesystem.
 */
export async function holdSource(request: HoldRequest): Promise<SourceHold> {
  const { source, workDirectory, log } = request;
  const handles: FileHandle[] = [];
  const release = async () => {
    for (const handle of handles.splice(0)) await handle.close();
  };
  try {
    // This comes first: it refuses names that no other call could handle.
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
  }, CHECK_MILLISECONDS);
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

/** Returns null if every file has its lease (`handles` are those) or needs none; otherwise the reason. */
async function takeLeases(source: DropPlace, handles: FileHandle[]): Promise<string | null> {
  let refused: string | null = null;
  for (const path of await filesOf(source)) {
    const handle = await openToRead(path).catch((error: unknown) => {
      // A link, a socket or a device, which FETCH refuses.
      if (isErrorCode(error, ...ELSEWHERE)) return null;
      throw error;
    });
    if (handle === null) continue;
    const stats = await handle.stat();
    const lease = stats.isFile() ? await takeReadLease(path, handle) : null;
    if (lease === 'held') handles.push(handle);
    else await handle.close();
    if (lease === 'writer') throw openForWriting(`${printable(path)} is open for writing`);
    // On a filesystem without leases, files that nobody else may write to need none.
    if (lease === 'unsupported' && !isTrusted(stats))
      refused = `${printable(path)} is on a filesystem without leases`;
  }
  return refused;
}

async function filesOf({ directory, entries }: DropPlace): Promise<string[]> {
  const files = await listSource(directory, entries);
  return files.slice(0, MAX_FILES).map(({ path }) => join(directory, path));
}

/** Returns why another user could swap a file of the drop, or null if nobody can. */
async function exchangeable({ source, workDirectory }: HoldRequest): Promise<string | null> {
  const { directory, entries } = source;
  // A user who may rename the work directory could swap a copy in it as well.
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

/** In a sticky directory only the owners of the file and of the directory may rename a file (inode(7)). */
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
 * True if nobody but this user and root may write to it. The user's own group is trusted: on many systems
 * each user has a private group.
 */
function isTrusted({ uid, gid, mode }: Stats): boolean {
  const groupWrites = (mode & 0o020) !== 0 && gid !== 0 && gid !== process.getegid?.();
  return isTrustedUser(uid) && (mode & 0o002) === 0 && !groupWrites;
}

/**
 * Returns the copies in a work directory, of which at most one is complete; none if there is no directory.
 */
export async function privateCopies(workDirectory: string): Promise<string[]> {
  const names = await readdir(workDirectory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return names.filter((name) => name.startsWith(COPY_PREFIX)).map((name) => join(workDirectory, name));
}

/** Returns the path of the copy of the drop with that `sourceId`. */
export function privateCopyOf(id: string, workDirectory: string): string {
  return join(workDirectory, `${COPY_PREFIX}${id}`);
}

/**
 * Makes the copy once. It gets its name, which is made of the drop's state at that time, when it is complete.
 */
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
  // FLATTEN adds what it needs itself.
  await reserve(
    used.reduce((sum, bytes) => sum + bytes, 0),
    { atLeast: true },
  );
  log.info({ reason }, 'copying the drop, so that nobody else can change what is read');
  const partial = `${path}.part`;
  await mkdir(partial, { mode: 0o700 });
  const { directory } = source;
  const refuseHardLinks = isInside(directory, workDirectory);
  // A disk that was found in a folder below its description has that in its name.
  for (const folder of new Set(source.entries.map(dirname)))
    await mkdir(join(partial, folder), { recursive: true, mode: 0o700 });
  try {
    await copyDrop({ directory, names: source.entries, target: partial, refuseHardLinks, signal });
  } catch (error) {
    // A partial copy would keep the full disk full.
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
