import { constants } from 'node:fs';
import { access, lstat, mkdir, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isNotUtf8 } from '../disk/base/names.js';
import { refuseHardLinks } from '../disk/file-source.js';
import { isErrorCode } from '../errors/errno.js';
import { Hyper2kvmError } from '../errors/error.js';
import { syncPath } from '../files/durable.js';
import { exists } from '../files/exists.js';
import { tryToRemove } from '../files/remove.js';
import { failpoint } from '../host/failpoint.js';
import type { Job } from '../model/job.js';
import type { Claim, ClaimedEntry } from '../queue/claim.js';
import type { QueueStore } from '../queue/store.js';
import { copyDrop } from '../sources/local/copy-drop.js';
import { readEntryState } from './entry-state.js';

/** What a claim needs from the queue. */
type ClaimQueue = Pick<QueueStore, 'claims'>;

export interface ClaimDirectories {
  incoming: string;
  work: string;
}

const STICKY = 0o1000;

/** Returns where a job's drop is. Its incomplete copy is in `copyDirectory`. */
export function sourceDirectory(work: string, job: string): string {
  return join(work, job, 'source');
}
/**
 * A hidden directory in incoming, which is not a drop: it holds the originals of a copied drop until they are
 * removed.
 */
export const ORIGINALS = /^\.hyper2kvm-([0-9a-z]+)$/;
function originalsDirectory(incoming: string, job: string): string {
  return join(incoming, `.hyper2kvm-${job}`);
}
function copyDirectory(work: string, job: string): string {
  return join(work, job, 'source.copying');
}

/**
 * Turns a settled drop into a queued job. The intent is in the database before the first effect, so that
 * `finishClaims` can continue after a crash at any point: the drop is then either complete in incoming, or
 * complete in work and known to the queue. Within one filesystem the names are renamed. To another one they
 * are copied, and an original that still matches its copy is renamed to a hidden directory in incoming before
 * it is removed, so that half a directory is never a drop. `onCopy` is called before the copy, which may take
 * hours. If the claim fails, what was moved is moved back. Errors: `spool.not-permitted`,
 * `spool.drop-changed`, those of `copyDrop`, those of the filesystem.
 */
export async function claimDrop(
  queue: ClaimQueue,
  directories: ClaimDirectories,
  claim: Claim,
  signal: AbortSignal,
  onCopy: () => void = () => {},
): Promise<Job> {
  await queue.claims.record(claim);
  failpoint('claim.recorded');
  let { phase } = claim;
  try {
    await mkdir(join(directories.work, claim.job), { mode: 0o700 });
    const moved = await moveEntries(directories, claim);
    if (moved) return await commitClaim(queue, directories, claim);
    phase = 'copying';
    await queue.claims.setPhase(claim.job, phase);
    await copyEntries(directories, claim, signal, onCopy);
    failpoint('claim.copied');
    phase = 'copied';
    await queue.claims.setPhase(claim.job, phase);
    await hideOriginals(directories, claim);
  } catch (error) {
    await giveBack(queue, directories, { ...claim, phase });
    throw claimError(error, claim);
  }
  failpoint('claim.originals-removed');
  const job = await commitClaim(queue, directories, claim);
  failpoint('claim.committed');
  await removeOriginals(directories.incoming, claim.job);
  return job;
}

/**
 * Finishes or undoes the claims that a killed daemon or a failing disk left, and returns the resulting jobs.
 * A claim that cannot be finished now (`onError`) is left to the next call and does not block the others;
 * those of `isUnderWay` belong to this daemon. Because the database may have been restored from an older
 * backup, only files that are proved to be copies are removed.
 */
export async function finishClaims(
  queue: ClaimQueue,
  directories: ClaimDirectories,
  onError: (claim: Claim, error: unknown) => void,
  isUnderWay: (claim: Claim) => boolean = () => false,
): Promise<Job[]> {
  const jobs: Job[] = [];
  for (const claim of await queue.claims.pending()) {
    if (isUnderWay(claim)) continue;
    try {
      const job = await finishClaim(queue, directories, claim);
      if (job !== null) jobs.push(job);
    } catch (error) {
      onError(claim, error);
    }
  }
  return jobs;
}

async function finishClaim(
  queue: ClaimQueue,
  directories: ClaimDirectories,
  claim: Claim,
): Promise<Job | null> {
  const source = sourceDirectory(directories.work, claim.job);
  if (claim.phase === 'moving') {
    const begun = await namesIn(source);
    if (begun.length > 0) for (const entry of claim.entries) await moveIfSame(directories, claim.job, entry);
  }
  const hasSource = (await namesIn(source)).length > 0;
  // Copies are complete once they have their final name.
  const isCopied = hasSource && (claim.phase === 'copied' || !(await hasAllOriginals(directories, claim)));
  if (claim.phase !== 'moving' && isCopied)
    await hideOriginals(directories, claim).catch(async (error: unknown) => {
      await giveBack(queue, directories, { ...claim, phase: 'copied' });
      throw claimError(error, claim);
    });
  if (claim.phase === 'moving' ? hasSource : isCopied) {
    const job = await commitClaim(queue, directories, claim);
    await removeOriginals(directories.incoming, claim.job);
    return job;
  }
  await undoClaim(queue, directories, claim);
  return null;
}

/** Returns false if incoming is on another filesystem; nothing was moved then. */
async function moveEntries(directories: ClaimDirectories, claim: Claim): Promise<boolean> {
  const { incoming, work } = directories;
  await mkdir(sourceDirectory(work, claim.job), { mode: 0o700 });
  if ((await lstat(incoming)).dev !== (await lstat(work)).dev) return false;
  // The contents of a dropped directory move to a directory of ours when the job begins.
  for (const { name } of claim.entries)
    if (await isDirectory(join(incoming, name))) await assertTakeable(incoming, name);
  for (const [index, entry] of claim.entries.entries()) {
    try {
      if (!(await moveIfSame(directories, claim.job, entry))) throw dropChanged(claim, entry);
      if (index === 0) failpoint('claim.moved-first');
    } catch (error) {
      // A bind mount: one device, but no rename across.
      if (index === 0 && isErrorCode(error, 'EXDEV')) return false;
      throw error;
    }
  }
  return true;
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory();
  } catch (error) {
    if (isErrorCode(error, 'ENOENT')) return false;
    throw error;
  }
}

async function moveIfSame(directories: ClaimDirectories, job: string, entry: ClaimedEntry): Promise<boolean> {
  const from = join(directories.incoming, entry.name);
  if (!(await isSame(from, entry))) return false;
  await rename(from, join(sourceDirectory(directories.work, job), entry.name));
  return true;
}

async function isSame(path: string, entry: ClaimedEntry): Promise<boolean> {
  try {
    const stats = await lstat(path);
    const { dev, ino, birthtimeMs } = stats;
    return dev === entry.device && ino === entry.inode && birthtimeMs === (entry.bornMs ?? birthtimeMs);
  } catch (error) {
    if (isErrorCode(error, 'ENOENT')) return false;
    throw error;
  }
}

async function copyEntries(
  directories: ClaimDirectories,
  claim: Claim,
  signal: AbortSignal,
  onCopy: () => void,
): Promise<void> {
  const { incoming, work } = directories;
  const copies = copyDirectory(work, claim.job);
  const linked = claim.refused === null ? 'refused' : 'copied';
  // Checked before hours of copying, which the next attempt would repeat.
  for (const { name } of claim.entries) await assertTakeable(incoming, name, linked);
  await rmdir(sourceDirectory(work, claim.job));
  await mkdir(copies, { mode: 0o700 });
  onCopy();
  for (const entry of claim.entries) {
    if (!(await isSame(join(incoming, entry.name), entry))) throw dropChanged(claim, entry);
    // Directories in incoming belong to others, who may swap their contents while they are copied.
    await copyDrop({
      directory: incoming,
      names: [entry.name],
      target: copies,
      refuseHardLinks: linked === 'refused',
      signal,
    });
  }
  for (const entry of claim.entries) {
    if ((await fingerprintOf(incoming, entry.name)) !== entry.fingerprint) throw dropChanged(claim, entry);
  }
  await syncPath(copies);
  await rename(copies, sourceDirectory(work, claim.job));
  await syncPath(join(work, claim.job));
  await syncPath(work);
}

/**
 * Rejects with EACCES or EPERM if unlink(2) and rename(2) would: the directories are not writable, or are
 * sticky and neither they nor the file are ours. If hard links are refused, rejects with
 * `fetch.refused-special`, as copying them would.
 */
async function assertTakeable(
  directory: string,
  name: string,
  linked: 'refused' | 'copied' = 'copied',
): Promise<void> {
  await access(directory, constants.W_OK | constants.X_OK);
  const parent = await lstat(directory);
  const stats = await lstat(join(directory, name)).catch((error: unknown) => {
    // This name cannot be looked up and need not be: it moves with its directory, and FETCH reports it.
    if (isNotUtf8(name)) return null;
    throw error;
  });
  if (stats === null) return;
  const user = process.geteuid?.();
  if ((parent.mode & STICKY) !== 0 && user !== 0 && user !== parent.uid && user !== stats.uid)
    throw Object.assign(new Error(`${name} is another user's, in a sticky directory`), { code: 'EPERM' });
  if (linked === 'refused') refuseHardLinks(name, stats);
  if (!stats.isDirectory()) return;
  const inside = join(directory, name);
  // A directory that moves to another parent is written to, because its `..` changes.
  await access(inside, constants.W_OK | constants.X_OK);
  for (const child of await readdir(inside)) await assertTakeable(inside, child, linked);
}

/**
 * True if every original still exists as it was copied. One that was written to since is a separate drop, and
 * nothing of it exists only in the copies.
 */
async function hasAllOriginals({ incoming }: ClaimDirectories, claim: Claim): Promise<boolean> {
  for (const entry of claim.entries) if (!(await isSame(join(incoming, entry.name), entry))) return false;
  return true;
}

/** Hides exactly what was copied; anything that changed since remains as a separate drop. */
async function hideOriginals({ incoming }: ClaimDirectories, claim: Claim): Promise<void> {
  const hidden = originalsDirectory(incoming, claim.job);
  for (const entry of claim.entries) {
    const fingerprint = await fingerprintOf(incoming, entry.name);
    if (fingerprint === null && !(await exists(join(hidden, entry.name))))
      await assertMounted(incoming, claim, entry);
    if (fingerprint !== entry.fingerprint) continue;
    await mkdir(hidden, { recursive: true, mode: 0o700 });
    await rename(join(incoming, entry.name), join(hidden, entry.name));
    failpoint('claim.original-hidden');
  }
  if (await exists(hidden)) await syncPath(hidden);
  await syncPath(incoming);
}

/**
 * Undoes a failed claim by moving back or deleting what was moved or copied. If one original cannot be moved
 * (immutable), all are restored. Once one is really removed, the copies are the drop, and `finishClaims`
 * continues with them.
 */
async function giveBack(queue: ClaimQueue, directories: ClaimDirectories, claim: Claim): Promise<void> {
  if (claim.phase !== 'copied') return undoClaim(queue, directories, claim, 'ours');
  // This comes first: what is moved back has another ctime than what was copied.
  await queue.claims.setPhase(claim.job, 'copying');
  await showOriginals(directories.incoming, claim.job);
  if (await hasAllOriginals(directories, claim))
    await undoClaim(queue, directories, { ...claim, phase: 'copying' }, 'ours');
}

/** Moves originals back to where they were dropped, if their names are free. */
async function showOriginals(incoming: string, job: string): Promise<void> {
  const hidden = originalsDirectory(incoming, job);
  for (const name of await namesIn(hidden))
    if (!(await exists(join(incoming, name)))) await rename(join(hidden, name), join(incoming, name));
  if ((await exists(hidden)) && (await namesIn(hidden)).length === 0) await rmdir(hidden);
}

/**
 * Removes the originals of a job that is in the queue. What cannot be removed now (an immutable file in a
 * directory) stays hidden for the sweeper, which reports it.
 */
async function removeOriginals(incoming: string, job: string): Promise<void> {
  await tryToRemove(originalsDirectory(incoming, job));
}

/**
 * Rejects if incoming is unmounted: the originals still exist then, and would be a second drop when it is
 * mounted again.
 */
async function assertMounted(incoming: string, claim: Claim, entry: ClaimedEntry): Promise<void> {
  const here = await lstat(incoming).catch((error: unknown) => {
    if (isErrorCode(error, 'ENOENT')) return null;
    throw error;
  });
  if (here?.dev === entry.device) return;
  throw new Hyper2kvmError(
    'spool.incoming-gone',
    `${incoming} is not mounted: the drop ${claim.dropName} cannot be removed from it`,
    {
      retryable: true,
    },
  );
}

async function commitClaim(queue: ClaimQueue, directories: ClaimDirectories, claim: Claim): Promise<Job> {
  const source = sourceDirectory(directories.work, claim.job);
  for (const path of [source, join(directories.work, claim.job), directories.work, directories.incoming])
    await syncPath(path);
  failpoint('claim.moved');
  return await queue.claims.commit(claim, await namesIn(source));
}

/**
 * Moves back what was moved, if its name is still free, and deletes the claim. What cannot be moved back
 * stays and becomes a job after all.
 */
async function undoClaim(
  queue: ClaimQueue,
  directories: ClaimDirectories,
  claim: Claim,
  copies: 'ours' | 'found' = 'found',
): Promise<void> {
  const { incoming, work } = directories;
  const source = sourceDirectory(work, claim.job);
  // While copies are being made, every original is still in incoming.
  const areCopies =
    claim.phase !== 'moving' && (copies === 'ours' || (await findOriginals(directories, claim)));
  const moved = claim.phase === 'moving' ? await namesIn(source) : [];
  for (const name of moved) {
    if (!(await exists(join(incoming, name)))) await rename(join(source, name), join(incoming, name));
  }
  if (claim.phase === 'moving' && (await namesIn(source)).length > 0) {
    await commitClaim(queue, directories, claim);
    return;
  }
  // Nothing else is removed: if the database is an older one, the job may have progressed since.
  if (areCopies)
    for (const path of [source, copyDirectory(work, claim.job)])
      await rm(path, { recursive: true, force: true });
  for (const directory of [source, join(work, claim.job)]) await removeEmpty(directory);
  failpoint('claim.undone');
  await queue.claims.forget(claim.job);
}

/**
 * Whether all that a claim copied still exists in incoming. If not, the copies stay, and the sweeper moves
 * them to failed/. If incoming is unmounted, this cannot be decided.
 */
async function findOriginals(directories: ClaimDirectories, claim: Claim): Promise<boolean> {
  const { incoming } = directories;
  await showOriginals(incoming, claim.job);
  if (await hasAllOriginals(directories, claim)) return true;
  for (const entry of claim.entries)
    if (!(await exists(join(incoming, entry.name)))) await assertMounted(incoming, claim, entry);
  return false;
}

async function removeEmpty(directory: string): Promise<void> {
  try {
    await rmdir(directory);
  } catch (error) {
    if (!isErrorCode(error, 'ENOENT', 'ENOTEMPTY', 'EEXIST')) throw error;
  }
}

async function fingerprintOf(directory: string, name: string): Promise<string | null> {
  return (await readEntryState(directory, name))?.fingerprint ?? null;
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).sort();
  } catch (error) {
    if (isErrorCode(error, 'ENOENT')) return [];
    throw error;
  }
}

function dropChanged(claim: Claim, entry: ClaimedEntry): Hyper2kvmError {
  return new Hyper2kvmError(
    'spool.drop-changed',
    `${entry.name} of the drop ${claim.dropName} changed while it was claimed`,
    {
      retryable: true,
    },
  );
}

function claimError(error: unknown, claim: Claim): unknown {
  if (!isErrorCode(error, 'EACCES', 'EPERM')) return error;
  return new Hyper2kvmError(
    'spool.not-permitted',
    `the daemon is not permitted to move the drop ${claim.dropName} out of incoming`,
    {
      cause: error,
    },
  );
}
