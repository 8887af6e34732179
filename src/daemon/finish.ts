import { chmod, mkdir, readdir, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Logger } from 'pino';
import type { Config, JobOptions } from '../config/schema.js';
import { syncPath } from '../files/durable.js';
import { exists } from '../files/exists.js';
import { removeOrHide } from '../files/remove.js';
import { failpoint } from '../host/failpoint.js';
import type { Job } from '../model/job.js';
import { jobFacts, type NotifyEvent } from '../notifications/event.js';
import type { NewNotification } from '../queue/outbox.js';
import type { Lease, QueueStore } from '../queue/store.js';
import { assembleBundle, writeFailure } from '../report/bundle.js';
import { assertConverted } from '../report/digest-converted.js';
import { grantQemuAccess } from '../report/libvirt-access.js';
import { isSameFilesystem, publishDirectory } from '../spool/publish.js';
import { CHECKPOINT_NAME, type JobPaths, jobPaths } from './paths.js';

interface FinishRequest {
  config: Config;
  queue: QueueStore;
  lease: Lease;
  /** Its outcome, directory, records and finishedAt are in the queue already. */
  job: Job;
  options: JobOptions;
  signal: AbortSignal;
  log: Logger;
  /** Returns what the receivers of an event are sent. */
  notifications(event: NotifyEvent): NewNotification[];
}

/**
 * Publishes a job whose outcome is decided, and commits it: the directory appears by one rename, then its
 * scratch is removed, then the job is final. If it is killed anywhere, a second call does the rest: what was
 * published is found in its place and not created again.
 */
export async function finishJob(request: FinishRequest): Promise<Job> {
  const { config, queue, lease, job, log } = request;
  const paths = jobPaths(config, job.job);
  const { outcome, directory } = job;
  if (outcome === null || directory === null) throw new Error(`job ${job.job} has no outcome yet`);
  if (!(await exists(directory))) {
    if (outcome === 'converted') await publishBundle(request, paths, directory);
    else await publishFailure(request, paths, directory);
  }
  failpoint('finish.before-removal');
  // The drop is in the result. Otherwise it is left to the sweeper, because an older database may take
  // another result for this one.
  const isSpare = outcome === 'converted' || (await exists(join(directory, 'source')));
  if (isSpare || !(await exists(paths.source)))
    await removeOrHide(paths.work, log).catch((err: unknown) =>
      // The result is published, whatever happens to the scratch.
      log.warn({ directory: paths.work, err }, 'work directory cannot be removed, retrying later'),
    );
  failpoint('finish.before-commit');
  const keepsScratch = await exists(join(directory, CHECKPOINT_NAME));
  const keep = outcome === 'converted' ? 'records' : keepsScratch ? 'all' : 'none';
  const done = await queue.runs.finish(lease, keep, (final) =>
    // A cancellation needs no notification.
    outcome === 'cancelled' ? [] : request.notifications({ event: outcome, job: jobFacts(final) }),
  );
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
  const { config, job, options, signal } = request;
  const { sourceId } = job.result;
  // In the daemon the drop cannot be left in place: it would be claimed again.
  const keepSource = options.config.archive.source === 'delete' ? 'delete' : 'archive';
  await openToQemu([config.spool.archive, dirname(directory)], request, { inherit: true });
  await assembleBundle({
    ...(await outcomeOf(request, paths)),
    bundleDirectory: paths.bundle,
    finalDirectory: directory,
    keepSource,
    sourceId,
    signal,
  });
  await openForReaders(paths.bundle);
  failpoint('finish.before-publish');
  const moved = { directory: join(paths.bundle, 'source'), entries: job.entries };
  await publishDirectory(paths.bundle, directory, signal, async () => {
    if (keepSource === 'archive') await assertConverted({ source: moved, sourceId });
  });
  // A copy on another filesystem has no access control lists.
  await openToQemu([directory], request);
  request.log.debug({ directory }, 'bundle published');
}

/**
 * Grants libvirt access. A result that libvirt cannot start yet is still a result: `doctor` names the missing
 * command.
 */
async function openToQemu(
  directories: readonly string[],
  { signal, log }: Pick<FinishRequest, 'signal' | 'log'>,
  options: { inherit?: boolean } = {},
): Promise<void> {
  const obstacle = await grantQemuAccess(directories, { ...options, signal });
  if (obstacle !== null)
    log.warn({ directories, error: obstacle.message }, 'libvirt could not be given access to the bundle');
}

async function publishFailure(request: FinishRequest, paths: JobPaths, directory: string): Promise<void> {
  const { config, job, signal } = request;
  const { error, failedStage } = job;
  if (error === null) throw new Error(`job ${job.job} failed without an error`);
  await restoreScratch(paths);
  await writeFailure({
    ...(await outcomeOf(request, paths)),
    failedDirectory: paths.failure,
    error,
    failedStage,
    ...((await exists(paths.bundle)) ? { bundleDirectory: paths.bundle } : {}),
  });
  await mkdir(config.spool.failed, { recursive: true });
  // On another filesystem, keeping the overlays would mean copying gigabytes; a retry there starts from the
  // drop.
  if (await isSameFilesystem(paths.work, config.spool.failed)) await keepScratch(paths);
  if (await exists(paths.source)) await rename(paths.source, join(paths.failure, 'source'));
  await syncPath(paths.failure);
  await openForReaders(paths.failure);
  failpoint('finish.before-publish');
  await publishDirectory(paths.failure, directory, signal);
}

/** Moves the files that the checkpoints refer to into the failed directory, for `retry`. */
async function keepScratch(paths: JobPaths): Promise<void> {
  const kept = join(paths.failure, CHECKPOINT_NAME);
  await mkdir(kept, { recursive: true, mode: 0o700 });
  const apart = new Set([paths.source, paths.failure, paths.bundle, paths.log].map((path) => basename(path)));
  for (const name of await readdir(paths.work)) {
    if (!apart.has(name)) await rename(join(paths.work, name), join(kept, name));
  }
  await syncPath(kept);
}

/** Undoes what an interrupted `publishFailure` moved, so that the report is made from everything again. */
async function restoreScratch(paths: JobPaths): Promise<void> {
  const kept = join(paths.failure, CHECKPOINT_NAME);
  for (const name of (await exists(kept)) ? await readdir(kept) : []) {
    await rename(join(kept, name), join(paths.work, name));
  }
  const source = join(paths.failure, 'source');
  if (await exists(source)) await rename(source, paths.source);
}

/** Opens a result to those who may enter archive/ or failed/; work directories are private. */
async function openForReaders(directory: string): Promise<void> {
  await chmod(directory, 0o750);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory() && entry.name !== CHECKPOINT_NAME)
      await chmod(join(directory, entry.name), 0o750);
  }
}

async function outcomeOf({ job, queue, options }: FinishRequest, paths: JobPaths) {
  const checkpoints = await queue.checkpoints.load(job.job);
  const outputs = Object.fromEntries(checkpoints.map(({ stage, output }) => [stage, output]));
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
