import { createHash } from 'node:crypto';
import type { Stats } from 'node:fs';
import { lstat, mkdir, mkdtemp, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrorCode } from '../../../errors/errno.js';
import { Hyper2kvmError } from '../../../errors/error.js';
import { syncPath, syncTree } from '../../../files/durable.js';
import { exists } from '../../../files/exists.js';
import { findProgram } from '../../../tools/find-program.js';
import { run } from '../../../tools/run.js';
import { type Confinement, sandboxPrefix } from '../../../tools/sandbox.js';
import { type IsoFile, parseIsoListing } from './iso-listing.js';
import { isWanted } from './layout.js';
import { invalid, listTree, MAX_FILE_BYTES, MAX_TOTAL_BYTES, type TreeFile, unreadable } from './tree.js';

/** As Debian and others name it. */
const PROGRAMS = ['7z', '7zz'];
/** An entry takes about 120 bytes. */
const MAX_LISTING_BYTES = 8 * 1024 ** 2;
const MAX_FILES = 20_000;
/**
 * It takes 6 MiB for an ISO of the lab. Directories that share their content multiply without end: here, memory ends after
 * 2 s of one processor.
 */
const LIMITS = { memoryBytes: 128 * 1024 ** 2, fileBytes: MAX_FILE_BYTES };
const TIMEOUT_SECONDS = 300;
/** The directory may be shared (/var/tmp). */
const PREFIX = 'hyper2kvm-virtio-win-';
/** Unpacked images that no job has used for so long are removed when another one is unpacked. */
const KEPT_MS = 30 * 24 * 3600 * 1000;

/**
 * Returns the files of a virtio-win ISO, unpacked once into `cache` and found there again until the ISO
 * changes. Nothing is mounted: 7-Zip reads the image in the sandbox, where it sees the image and one
 * directory. Of the programs that read ISO 9660, Joliet and Rock Ridge it was chosen over xorriso after both were
 * given hostile images: a directory that contains itself keeps xorriso busy for ever and is an error of 7-Zip after
 * 20 ms, and 7-Zip resolves no link.
 */
export async function unpackIso(iso: string, cache: string, signal: AbortSignal): Promise<TreeFile[]> {
  const target = join(cache, `${PREFIX}${await identityOf(iso)}`);
  if (await exists(target)) {
    await refuseForeign(target);
    const now = new Date();
    await utimes(target, now, now);
  } else await unpackInto(iso, cache, target, signal);
  return listTree(target, signal);
}

/** In a directory such as /var/tmp, somebody else could have put drivers of their own there. */
async function refuseForeign(target: string): Promise<void> {
  if (!isOwn(await lstat(target)))
    throw invalid(target, 'the unpacked image does not belong to this user; remove it');
}

const isOwn = (stats: Stats): boolean =>
  stats.isDirectory() && stats.uid === process.geteuid?.() && (stats.mode & 0o022) === 0;

/** An ISO that is replaced or changed has another inode or time of change. */
async function identityOf(iso: string): Promise<string> {
  const { dev, ino, size, mtimeNs, ctimeNs } = await stat(iso, { bigint: true }).catch((error: unknown) => {
    throw unreadable(iso, error);
  });
  return createHash('sha256').update([dev, ino, size, mtimeNs, ctimeNs].join(' ')).digest('hex').slice(0, 32);
}

async function unpackInto(iso: string, cache: string, target: string, signal: AbortSignal): Promise<void> {
  await mkdir(cache, { recursive: true, mode: 0o700 });
  await removeUnused(cache);
  const scratch = await mkdtemp(join(cache, `${PREFIX}new-`));
  try {
    const files = await wantedFiles(iso, signal);
    const unpacked = await extract(iso, files, scratch, signal);
    await syncTree(unpacked);
    await rename(unpacked, target);
    await syncPath(cache);
  } catch (error) {
    // Another job has unpacked the same image meanwhile.
    if (!isErrorCode(error, 'ENOTEMPTY', 'EEXIST')) throw error;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function wantedFiles(iso: string, signal: AbortSignal): Promise<IsoFile[]> {
  const listing = await sevenZip(
    ['l', '-slt', '-ba', '-tiso', '--', iso],
    { readable: [iso], writable: [], signal },
    iso,
  );
  const files = parseIsoListing(listing).filter(({ path }) => isWanted(path));
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  const large = files.find(({ size }) => size > MAX_FILE_BYTES);
  if (large !== undefined) throw invalid(iso, `${large.path} is too large`);
  if (files.length > MAX_FILES) throw invalid(iso, `it has more than ${MAX_FILES} driver files`);
  if (bytes > MAX_TOTAL_BYTES) throw invalid(iso, 'its drivers are too large');
  return files;
}

/** Returns the directory with the files. Their names mean themselves (`-spd`), not patterns. */
async function extract(
  iso: string,
  files: readonly IsoFile[],
  scratch: string,
  signal: AbortSignal,
): Promise<string> {
  const [names, target] = [join(scratch, 'names'), join(scratch, 'files')];
  await mkdir(target);
  if (files.length === 0) return target;
  await writeFile(names, files.map(({ path }) => `${path}\n`).join(''));
  const args = ['x', '-tiso', '-y', '-bd', '-bb0', '-spd', '-scsUTF-8', `-o${target}`, `-i@${names}`];
  await sevenZip([...args, '--', iso], { readable: [iso, names], writable: [target], signal }, iso);
  const unpacked = new Map((await listTree(target, signal)).map(({ path, size }) => [path, size]));
  const missing = files.find(({ path, size }) => unpacked.get(path) !== size);
  if (missing !== undefined) throw invalid(iso, `${missing.path} cannot be unpacked`);
  return target;
}

async function sevenZip(
  args: readonly string[],
  { signal, ...confinement }: Confinement & { signal: AbortSignal },
  iso: string,
): Promise<string> {
  const program = await findSevenZip();
  if (program === null)
    throw new Hyper2kvmError(
      'windows.unpacker-missing',
      'windows.virtio_win is an ISO image, and 7-Zip is missing',
    );
  try {
    const { stdout } = await run(program, args, {
      signal,
      timeoutSeconds: TIMEOUT_SECONDS,
      maxOutputBytes: MAX_LISTING_BYTES,
      limits: LIMITS,
      wrapper: await sandboxPrefix(confinement),
    });
    return stdout.toString('utf8');
  } catch (error) {
    if (!(error instanceof Hyper2kvmError) || error.retryable) throw error;
    throw invalid(iso, 'it cannot be read as an ISO image', error);
  }
}

/** Returns null if it is not installed. */
async function findSevenZip(): Promise<string | null> {
  for (const name of PROGRAMS) if ((await findProgram(name)) !== null) return name;
  return null;
}

async function removeUnused(cache: string): Promise<void> {
  for (const name of (await readdir(cache)).filter((entry) => entry.startsWith(PREFIX))) {
    const path = join(cache, name);
    const stats = await lstat(path).catch(() => null);
    // Another job may have removed it.
    if (stats === null || !isOwn(stats)) continue;
    if (Date.now() - stats.mtimeMs > KEPT_MS) await rm(path, { recursive: true, force: true });
  }
}
