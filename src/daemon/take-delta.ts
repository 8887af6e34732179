import { lstat, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type ErrorRecord, errorRecord, Hyper2kvmError } from '../errors/error.js';
import { syncPath } from '../files/durable.js';
import { exists } from '../files/exists.js';
import { takeDirectories } from '../files/take-directories.js';
import { failpoint } from '../host/failpoint.js';
import type { Job } from '../model/job.js';
import { droppedDirectory } from '../sources/local/inventory.js';
import { listSource } from '../sources/local/list-source.js';
import { sourceDirectory } from '../spool/claim.js';
import { freePath, jobPaths } from './paths.js';
import type { JobRun } from './process-job.js';

/**
 * Adds the drop with what has changed since a warm job's base to the job's own drop: its files move beside those of
 * the base. Can be repeated after a crash at any point. `error` is the drop's failure; then it stays where it is.
 */
export async function takeDelta(
  job: Job,
  { config, queue, lease }: Pick<JobRun, 'config' | 'queue' | 'lease'>,
): Promise<{ job: Job; error: ErrorRecord | null }> {
  const { source } = jobPaths(config, job.job);
  // Without its base, which may be in the result that is being published, the delta stays where it is.
  if (job.delta === null || !(await exists(source))) return { job, error: null };
  const { work } = config.spool;
  const from = sourceDirectory(work, job.delta);
  try {
    if (await exists(from)) await moveBeside(from, source, job.entries);
  } catch (thrown) {
    if (!(thrown instanceof Hyper2kvmError) || thrown.retryable) throw thrown;
    return { job, error: errorRecord(thrown) };
  }
  failpoint('warm.delta-moved');
  const entries = await readdir(source);
  // Before the queue forgets it: a directory that no job knows is taken for a lost drop.
  await rm(join(work, job.delta), { recursive: true, force: true });
  return { job: await queue.runs.deltaTaken(lease, entries), error: null };
}

async function moveBeside(from: string, source: string, entries: readonly string[]): Promise<void> {
  // Both first: nobody else can then swap what is moved, or where to.
  await takeDirectories(from);
  await takeDirectories(source);
  const names = await readdir(from);
  const inner = droppedDirectory(names, await listSource(from, names));
  const target = join(source, droppedDirectory(entries, await listSource(source, entries)));
  for (const name of names) {
    if (`${name}/` === inner) await moveAll(join(from, name), target);
    else await moveOne(join(from, name), target, name);
  }
  // The directories; the content of the files is as durable as that of any drop.
  await syncPath(target);
  await syncPath(source);
}

async function moveAll(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o700 });
  for (const name of await readdir(from)) await moveOne(join(from, name), to, name);
}

/**
 * Of two files with one name the newer one is the VM's; the older one is kept beside it, hidden, as is the newer
 * one's job.toml: what the base was dropped with is in force.
 */
async function moveOne(path: string, directory: string, name: string): Promise<void> {
  if (name.endsWith('job.toml')) return rename(path, freePath(join(directory, `.${name}.delta`)));
  const target = join(directory, name);
  if (await exists(target)) {
    if ((await lstat(path)).isDirectory() && (await lstat(target)).isDirectory())
      return moveAll(path, target);
    await rename(target, freePath(join(directory, `.${name}.base`)));
  }
  await rename(path, target);
  failpoint('warm.delta-moving');
}
