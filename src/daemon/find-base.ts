import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { assemble, type ImageFile } from '../disk/assemble.js';
import { chainOf, leavesOf } from '../disk/chain.js';
import { refuseHardLinks, withFile } from '../disk/file-source.js';
import { isFlatName, readImageFile } from '../disk/read-image.js';
import { type ErrorRecord, errorRecord, Hyper2kvmError } from '../errors/error.js';
import { exists } from '../files/exists.js';
import type { Drop } from '../model/drop.js';
import type { Job } from '../model/job.js';
import type { QueueStore } from '../queue/store.js';
import { isDescription, XML } from '../sources/local/description-names.js';
import { droppedDirectory } from '../sources/local/inventory.js';
import { listSource } from '../sources/local/list-source.js';
import { sourceDirectory } from '../spool/claim.js';
import { printable } from '../text/escape-terminal.js';

/** The warm job that a drop belongs to: it has the files which the drop lacks. */
export type FoundBase =
  /**
   * The drop is what has changed since that base. `lacks`: a disk of the base that it has no newer state of, and no
   * description says that there is none.
   */
  | { kind: 'parked'; job: Job; lacks: string | null }
  /** Its base is there, and is still being prepared. */
  | { kind: 'preparing'; job: Job }
  /** The names fit, and the chain does not. */
  | { kind: 'refused'; job: Job; error: ErrorRecord };

/** A VM has a few dozen. */
const MAX_FILES = 1_000;

/** Whether a drop may be what has changed since the base of a warm job: files that it builds on are missing. */
export function mayBeDelta({ waiting, refused, problem }: Drop): boolean {
  return waiting?.kind === 'missing' && waiting.what === 'files' && refused === null && problem === undefined;
}

/**
 * Finds the one warm job whose base has all files that the drop lacks; of several the one with the drop's name. The
 * chain is verified by the headers of both, as FETCH will do: ids, sizes, formats. Null if there is no such job.
 */
export async function findBase(
  drop: Drop,
  incoming: string,
  work: string,
  { queue, signal }: { queue: Pick<QueueStore, 'jobs'>; signal: AbortSignal },
): Promise<FoundBase | null> {
  if (!mayBeDelta(drop) || drop.waiting?.kind !== 'missing') return null;
  const filter = { states: ['queued', 'running'], warm: ['preparing', 'parked'] } as const;
  const candidates: { job: Job; files: VmFile[] }[] = [];
  for (const job of await queue.jobs.list(filter)) {
    const directory = await directoryOf(job, work);
    if (job.outcome !== null || directory === null) continue;
    const files = await filesOf(directory, job.entries);
    const names = new Set(files.map(({ name }) => name.split('/').at(-1)));
    if (drop.waiting.names.every((name) => names.has(name))) candidates.push({ job, files });
  }
  const [found, other] = candidates;
  const base = other === undefined ? found : onlyNamed(candidates, drop.vm);
  if (base === undefined) return null;
  if (base.job.warm !== 'parked') return { kind: 'preparing', job: base.job };
  try {
    const lacks = await verifyChain(base.files, await filesOf(incoming, drop.entries), signal);
    return { kind: 'parked', job: base.job, lacks };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Hyper2kvmError) || error.retryable) throw error;
    return { kind: 'refused', job: base.job, error: errorRecord(error) };
  }
}

/** Returns where a job's drop is, which a retry takes back when the job starts; null if it is gone. */
async function directoryOf({ job, reopen }: Job, work: string): Promise<string | null> {
  const source = sourceDirectory(work, job);
  if (await exists(source)) return source;
  const failed = reopen === null ? null : join(reopen, 'source');
  return failed !== null && (await exists(failed)) ? failed : null;
}

function onlyNamed<Candidate extends { job: Job }>(
  candidates: readonly Candidate[],
  vm: string,
): Candidate | undefined {
  const named = candidates.filter(({ job }) => job.vm === vm);
  return named.length === 1 ? named[0] : undefined;
}

interface VmFile {
  /** Within the VM's directory. */
  name: string;
  path: string;
  size: number;
}

async function filesOf(directory: string, entries: readonly string[]): Promise<VmFile[]> {
  const files = await listSource(directory, entries);
  const prefix = droppedDirectory(entries, files);
  return files
    .map(({ path, size }) => ({
      name: path.startsWith(prefix) ? path.slice(prefix.length) : path,
      path: join(directory, path),
      size,
    }))
    .filter(({ name }) => !name.endsWith('.toml') && !name.split('/').some((part) => part.startsWith('.')))
    .slice(0, MAX_FILES);
}

/** Throws what FETCH would, for the base's files and the drop's together. Returns what the drop lacks (`FoundBase`). */
async function verifyChain(
  base: readonly VmFile[],
  drop: readonly VmFile[],
  signal: AbortSignal,
): Promise<string | null> {
  const ofDrop = new Set(drop.map(({ name }) => name));
  const images: ImageFile[] = [];
  for (const file of base) {
    const image = await readHeader(file, signal);
    if (!ofDrop.has(file.name)) images.push(image);
    else if (image.image !== null || isFlatName(file.name))
      throw new Hyper2kvmError(
        'fetch.base-again',
        `the drop has ${printable(file.name)}, which the base has already`,
      );
  }
  for (const file of drop) {
    refuseHardLinks(file.name, await lstat(file.path));
    images.push(await readHeader(file, signal));
  }
  const assembly = assemble(images);
  const isBuiltOn = (leaf: string) =>
    ofDrop.has(leaf) &&
    chainOf(leaf, assembly, assembly.images.size).some(({ file }) => !ofDrop.has(file.name));
  const leaves = leavesOf(assembly);
  if (!leaves.some(isBuiltOn))
    throw new Hyper2kvmError('fetch.missing-parent', 'no disk of the drop builds on one of the base');
  if (drop.some(({ name }) => isDescription(name) || XML.test(name))) return null;
  return leaves.find((leaf) => !ofDrop.has(leaf)) ?? null;
}

async function readHeader({ name, path, size }: VmFile, signal: AbortSignal): Promise<ImageFile> {
  const header = await withFile(path, ({ source }) => readImageFile(name, source, { anyRaw: true }), signal);
  return { name, size, bytes: { type: 'file', place: 'drop', path: name }, ...header };
}
