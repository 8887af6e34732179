import { chmod, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Logger } from 'pino';
import type { Config, JobOptions } from '../config/schema.js';
import { Hyper2kvmError } from '../errors/error.js';
import { syncPath } from '../files/durable.js';
import { removeOrHide, tryToRemove } from '../files/remove.js';
import { failpoint } from '../host/failpoint.js';
import type { Job } from '../model/job.js';
import { jobFacts, type NotifyEvent } from '../notifications/event.js';
import type { Queue } from '../queue/queue.js';
import { assembleBundle, writeFailure } from '../report/bundle.js';
import { letQemuPass } from '../report/libvirt-access.js';
import { copyTree } from '../sources/local/copy-drop.js';
import { isSameFilesystem, pathExists, publishDirectory } from '../spool/publish.js';
import { CHECKPOINT_NAME, type JobPaths, jobPaths, LOG_NAME } from './paths.js';

export interface FinishRequest {
  config: Config;
  queue: Queue;
  /** Its outcome, directory, records and finishedAt are in the database already. */
  job: Job;
  options: JobOptions;
  signal: AbortSignal;
  log: Logger;
  /** Puts the notifications of this event into the outbox. */
  notify(event: NotifyEvent): void;
}

/**
 * Publishes a job whose outcome is decided, and commits it: the directory appears by one rename, then its scratch goes, then the job is final. Killed
 * anywhere, a second call does what is left: what was published is found at its place and not made again.
 */
export async function finishJob(request: FinishRequest): Promise<Job> {
  const { config, queue, job, log } = request;
  const paths = jobPaths(config, job.job);
  const { outcome, directory } = job;
  if (outcome === null || directory === null) throw new Error(`job ${job.job} has no outcome yet`);
  if (!(await pathExists(directory))) {
    if (outcome === 'converted') await publishBundle(request, paths, directory);
    else await publishFailure(request, paths, directory);
  }
  failpoint('finish.before-removal');
  // The drop is in the result, or it is left to the sweeper: an older database may take another result for
  // this one.
  const isSpare = outcome === 'converted' || (await pathExists(join(directory, 'source')));
  if (isSpare || !(await pathExists(paths.source)))
    await removeOrHide(paths.work, log).catch((err: unknown) =>
      // The result is published, whatever is in the way.
      log.warn({ directory: paths.work, err }, 'work directory cannot be removed: tried again later'),
    );
  failpoint('finish.before-commit');
  const keepsScratch = await pathExists(join(directory, CHECKPOINT_NAME));
  const done = queue.transaction(() => {
    const final = queue.jobs.update(job.job, {
      state: outcome,
      stage: null,
      reservedBytes: 0,
      waitsForBytes: null,
      reopen: null,
    });
    // Who cancels a job knows it.
    if (outcome !== 'cancelled') request.notify({ event: outcome, job: jobFacts(final) });
    if (outcome === 'converted') queue.forgetOutputs(job.job);
    else if (!keepsScratch) queue.forgetCheckpoints(job.job);
    return final;
  });
  const facts = { vm: job.vm, directory };
  if (outcome === 'converted') log.info(facts, 'job converted');
  else if (outcome === 'cancelled') log.warn(facts, 'job cancelled');
  else
    log.error(
      { ...facts, code: job.error?.code, error: job.error?.message, advice: job.error?.advice },
      'job failed',
    );
  return done;
}

async function publishBundle(request: FinishRequest, paths: JobPaths, directory: string): Promise<void> {
  const { config, options, signal } = request;
  // For the daemon there is no place where the drop could be left: incoming would bring it again.
  const keepSource = options.config.source.keep === 'delete' ? 'delete' : 'archive';
  await admitQemu([config.spool.archive, dirname(directory)], request, { inherit: true });
  await assembleBundle({
    ...outcomeOf(request, paths),
    bundleDirectory: paths.bundle,
    finalDirectory: directory,
    keepSource,
    signal,
  });
  await openForReaders(paths.bundle);
  failpoint('finish.before-publish');
  await publishDirectory(paths.bundle, directory, signal);
  // A copy onto another filesystem has no access control lists.
  await admitQemu([directory], request);
  request.log.debug({ directory }, 'bundle published');
}

/** A result that libvirt cannot start yet is a result all the same: `doctor` says the command that is missing. */
async function admitQemu(
  directories: readonly string[],
  { signal, log }: Pick<FinishRequest, 'signal' | 'log'>,
  options: { inherit?: boolean } = {},
): Promise<void> {
  const obstacle = await letQemuPass(directories, { ...options, signal });
  if (obstacle !== null)
    log.warn({ directories, error: obstacle.message }, 'libvirt cannot be let in to the bundle');
}

async function publishFailure(request: FinishRequest, paths: JobPaths, directory: string): Promise<void> {
  const { config, job, signal } = request;
  const { error, failedStage } = job;
  if (error === null) throw new Error(`job ${job.job} failed without an error`);
  await restoreScratch(paths);
  await writeFailure({
    ...outcomeOf(request, paths),
    failedDirectory: paths.failure,
    error,
    failedStage,
    ...((await pathExists(paths.bundle)) ? { bundleDirectory: paths.bundle } : {}),
  });
  await mkdir(config.spool.failed, { recursive: true });
  // Copying gigabytes of overlays only for a retry that may never come: without them it starts from the drop.
  if (await isSameFilesystem(paths.work, config.spool.failed)) await keepScratch(paths);
  if (await pathExists(paths.source)) await rename(paths.source, join(paths.failure, 'source'));
  await syncPath(paths.failure);
  await openForReaders(paths.failure);
  failpoint('finish.before-publish');
  await publishDirectory(paths.failure, directory, signal);
}

/** What the checkpoints stand for moves into the failed directory, for `retry`. */
async function keepScratch(paths: JobPaths): Promise<void> {
  const kept = join(paths.failure, CHECKPOINT_NAME);
  await mkdir(kept, { recursive: true, mode: 0o700 });
  const apart = new Set([paths.source, paths.failure, paths.bundle, paths.log].map((path) => basename(path)));
  for (const name of await readdir(paths.work)) {
    if (!apart.has(name)) await rename(join(paths.work, name), join(kept, name));
  }
  await syncPath(kept);
}

/** Undoes what an interrupted `publishFailure` had moved, so that the report is made from everything again. */
async function restoreScratch(paths: JobPaths): Promise<void> {
  const kept = join(paths.failure, CHECKPOINT_NAME);
  for (const name of (await pathExists(kept)) ? await readdir(kept) : []) {
    await rename(join(kept, name), join(paths.work, name));
  }
  const source = join(paths.failure, 'source');
  if (await pathExists(source)) await rename(source, paths.source);
}

/** Work directories are private; a result is for those who may enter archive/ or failed/. */
async function openForReaders(directory: string): Promise<void> {
  await chmod(directory, 0o750);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory() && entry.name !== CHECKPOINT_NAME)
      await chmod(join(directory, entry.name), 0o750);
  }
}

function outcomeOf({ job, queue, options }: FinishRequest, paths: JobPaths) {
  const outputs = Object.fromEntries(
    queue
      .checkpoints(job.job)
      .load()
      .map(({ stage, output }) => [stage, output]),
  );
  return {
    job: job.job,
    vm: job.vm,
    workDirectory: paths.work,
    options,
    outputs,
    records: job.records,
    startedAt: job.startedAt ?? job.createdAt,
    finishedAt: job.finishedAt ?? job.updatedAt,
    source: { directory: paths.source, entries: job.entries },
  };
}

/** `retry`: takes a failed directory back to work/, source and checkpoints. Safe to call again. Errors: `queue.source-gone`. */
export async function reopenJob(
  job: Job,
  { config, queue, signal, log }: Pick<FinishRequest, 'config' | 'queue' | 'signal' | 'log'>,
): Promise<Job> {
  const failed = job.reopen;
  if (failed === null) return job;
  const paths = jobPaths(config, job.job);
  await mkdir(paths.work, { recursive: true, mode: 0o700 });
  const kept = join(failed, CHECKPOINT_NAME);
  if (await pathExists(kept)) {
    for (const name of await readdir(kept)) await moveBack(join(kept, name), join(paths.work, name), signal);
  }
  failpoint('reopen.scratch-moved');
  const jobLog = join(failed, LOG_NAME);
  if (await pathExists(jobLog)) await moveBack(jobLog, paths.log, signal);
  if (!(await pathExists(paths.source))) await takeSource(join(failed, 'source'), paths, signal);
  failpoint('reopen.source-moved');
  await chmod(paths.source, 0o700);
  await syncPath(paths.work);
  // Its own name, which may be new.
  await syncPath(config.spool.work);
  // Before the record: what is left of it would pass for the published result of the next failure on the same day.
  await removeOrHide(failed, log);
  failpoint('reopen.removed');
  return queue.transaction(() => {
    // Cancelled before it began again, or meanwhile: the outcome and its place are decided already.
    const isDecided = (queue.jobs.get(job.job)?.outcome ?? null) !== null;
    return queue.jobs.update(job.job, { reopen: null, ...(isDecided ? {} : { directory: null }) });
  });
}

async function takeSource(from: string, paths: JobPaths, signal: AbortSignal): Promise<void> {
  if (!(await pathExists(from))) {
    throw new Hyper2kvmError('queue.source-gone', `${from} is not there any more`, {
      advice: 'Drop the VM into incoming again.',
    });
  }
  await moveBack(from, paths.source, signal);
}

/** Onto another filesystem: a durable copy appears by rename, and what it was made of is removed with the rest. Called again it keeps what it has made. */
async function moveBack(from: string, to: string, signal: AbortSignal): Promise<void> {
  if (await pathExists(to)) return;
  try {
    await rename(from, to);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EXDEV')) throw error;
    const copy = `${to}.copying`;
    await rm(copy, { recursive: true, force: true });
    await copyTree(from, copy, signal).catch(async (failure: unknown) => {
      await tryToRemove(copy);
      throw failure;
    });
    await rename(copy, to);
  }
}
