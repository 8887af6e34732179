import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { jobOptions } from '../config/load.js';
import type { RenamedKey } from '../config/renamed.js';
import type { Config, JobOptions } from '../config/schema.js';
import type { Lanes, PipelineEvent, PipelineRequest, PipelineResult } from '../engine/types.js';
import { type ErrorRecord, errorRecord, Hyper2kvmError, isFullDisk } from '../errors/error.js';
import { exists } from '../files/exists.js';
import { noSpace, spaceOf, usedBytes } from '../files/space.js';
import { takeDirectories } from '../files/take-directories.js';
import { failpoint } from '../host/failpoint.js';
import type { LogRoot } from '../host/log.js';
import type { Job, JobResult, Outcome } from '../model/job.js';
import type { Queue } from '../queue/queue.js';
import { listSource, sourceId } from '../sources/local/list-source.js';
import { readOptionsFile } from '../spool/options-file.js';
import type { Admission } from './admission.js';
import { type FinishRequest, finishJob, reopenJob } from './finish.js';
import { jobResult } from './job-summary.js';
import type { Board } from './live-progress.js';
import { freePath, type JobPaths, jobPaths, resultDirectory, writesTo } from './paths.js';

export interface JobRunParts {
  config: Config;
  admission: Admission;
  /** How often in a row this job was put back into the queue for a failure that was not its own. */
  setBacks(job: string): number;
  queue: Queue;
  lanes: Lanes;
  board: Board;
  log: LogRoot;
  /** Of `FinishRequest`. */
  notify: FinishRequest['notify'];
  runPipeline(request: PipelineRequest): Promise<PipelineResult>;
}

/** A disk that was full with so much free needs more than that. */
const MORE_THAN_WAS_FREE_BYTES = 64 * 1024 ** 2;

/** So often a disk may be full in a row although all that the job needs is free. */
const MAX_FULL_DISKS = 5;

/**
 * So often a drop may be written to while it is converted, each time after it had been quiet: with pauses in
 * between, since whoever writes without an end must not keep a worker.
 */
const MAX_CHANGES = 5;
const QUIET_SECONDS = 600;

/** A job at whose work so many daemons died, with no stage completed in between, is set aside: it may be what kills them. */
const MAX_CRASHES = 3;

/**
 * One queued job from its claim to its published result, or back into the queue: when the daemon stops, when the disk is full, when its drop was still being
 * written. Never throws for the job's own failure.
 */
export async function runJob(queued: Job, parts: JobRunParts, signal: AbortSignal): Promise<void> {
  const { config, queue } = parts;
  // One that is being taken back (`reopen`) is no result: what has left it already is in work/.
  const decidedDirectory = queued.outcome === null || queued.reopen !== null ? null : queued.directory;
  if (decidedDirectory !== null && (await exists(decidedDirectory))) {
    // Killed after the result appeared: its log is closed, its options do not matter any more.
    const log = parts.log.logger.child({ job: queued.job });
    const options = jobOptions(config, null);
    await finishJob({ config, queue, job: queued, options, signal, log, notify: parts.notify });
    return;
  }
  const job = await reopen(queued, parts, signal);
  if (job.reopen !== null) return;
  const paths = jobPaths(config, job.job);
  const jobLog = parts.log.jobLogger(paths.log, { job: job.job });
  const log = jobLog.logger;
  try {
    // First of all: what is read of a dropped directory must not be exchanged by its owner.
    const taken = job.outcome === null ? await takeOver(paths) : null;
    const { options, error } = await optionsOf({ ...job, refused: job.refused ?? taken }, config, paths, log);
    let decided = job;
    if (job.outcome === null) {
      const failure = job.refused ?? taken ?? error ?? crashLoop(job) ?? (await sourceGone(paths));
      if (failure !== null)
        decided = decide(job, parts, { outcome: 'failed', error: failure, failedStage: null });
      else decided = await convert(job, options, parts, log, signal);
    }
    // Nothing is written to the job's log once its digest is taken.
    jobLog.close();
    if (decided.outcome === null) return;
    failpoint('finish.decided');
    await publish(decided, options, parts, signal);
  } finally {
    jobLog.close();
  }
}

/** As where an old database was restored: the job has ended since, or its work directory is lost. */
async function sourceGone(paths: JobPaths): Promise<ErrorRecord | null> {
  const source = await dropOf(paths);
  if (await exists(source)) return null;
  return errorRecord(
    new Hyper2kvmError('queue.source-gone', `the drop is not in ${source} any more`, {
      advice:
        'See archive/ and failed/ for an earlier result of this job; else drop the VM into incoming again.',
    }),
  );
}

/** Null when every directory of the drop is the daemon's own; the drop's own failure otherwise. */
async function takeOver(paths: JobPaths): Promise<ErrorRecord | null> {
  try {
    await takeDirectories(paths.source);
    return null;
  } catch (thrown) {
    if (thrown instanceof Hyper2kvmError) return errorRecord(thrown);
    throw thrown;
  }
}

function crashLoop({ crashes, stage }: Job): ErrorRecord | null {
  if (crashes < MAX_CRASHES) return null;
  return errorRecord(
    new Hyper2kvmError(
      'job.crash-loop',
      `the daemon died ${crashes} times while this job was in ${stage ?? 'work'}`,
      {
        advice:
          'Look for what killed it (journalctl -u hyper2kvm, the kernel log: out of memory?); then `hyper2kvm retry`.',
      },
    ),
  );
}

/**
 * `retry`: the job with its drop in work/. A job that still has `reopen` is queued again, as the disk is full
 * that its drop is copied to. A source that is not there any more, a disk that is full again and again, or a
 * cancellation meanwhile, ends the job; it is not tried again for ever.
 */
async function reopen(job: Job, parts: JobRunParts, signal: AbortSignal): Promise<Job> {
  const { config, queue } = parts;
  const log = parts.log.logger.child({ job: job.job });
  try {
    return await reopenJob(job, { config, queue, signal, log });
  } catch (thrown) {
    const error = errorRecord(thrown);
    const isStillThere = job.reopen !== null && (await exists(join(job.reopen, 'source')));
    if (isFullDisk(error) && isStillThere) {
      const cause = { error, cause: thrown, failedStage: null };
      const after = job.outcome === null ? await waitForSpace(job, parts, cause, log) : job;
      return after.outcome === null ? after : leaveInFailed(after, queue);
    }
    if (error.code !== 'queue.source-gone') throw thrown;
    queue.jobs.update(job.job, { reopen: null });
    return decide(job, parts, { outcome: 'failed', error, failedStage: null });
  }
}

/**
 * Ended with the drop where it is, as it cannot be copied back: what there is of a copy goes with the work
 * directory.
 */
function leaveInFailed({ job, reopen }: Job, queue: Queue): Job {
  return queue.jobs.update(job, { directory: reopen, reopen: null });
}

/** The job with its outcome, or queued again without one. */
async function convert(
  job: Job,
  options: JobOptions,
  parts: JobRunParts,
  log: Logger,
  signal: AbortSignal,
): Promise<Job> {
  const { config, queue, board } = parts;
  const paths = jobPaths(config, job.job);
  log.info({ vm: job.vm, drop: job.dropName, kind: options.kind }, 'job started');
  const result = await parts.runPipeline({
    job: { id: job.job, vm: job.vm },
    options,
    workDirectory: paths.work,
    source: { directory: paths.source, entries: job.entries },
    priority: job.priority,
    signal,
    log,
    store: queue.checkpoints(job.job),
    lanes: parts.lanes,
    reserve: (bytes, options) => parts.admission.reserve(job.job, bytes, options),
    onEvent: (event) => record(job.job, event, queue, board),
  });
  const { error, failedStage, records } = result;
  const isCancelled = queue.jobs.update(job.job, { records }).outcome !== null;
  if (error === null || isCancelled)
    return decide(job, parts, {
      outcome: 'converted',
      error,
      failedStage,
      result: jobResult(result),
    });
  if (result.cancelled && error.code === 'daemon.stopping') {
    log.info({ stage: failedStage }, 'job interrupted, it resumes at the next start');
    return queue.jobs.requeue(job.job);
  }
  if (error.code === 'host.waits-for-space') {
    log.warn({ code: error.code, error: error.message }, 'job waits for space');
    return queue.jobs.requeue(job.job, { waitsForBytes: parts.admission.bytesToWaitFor(job.job) });
  }
  if (isFullDisk(error)) return waitForSpace(job, parts, { error, cause: asError(error), failedStage }, log);
  if (error.code === 'source.changed') {
    log.warn({ code: error.code }, 'drop is still being written: the job starts again when it is quiet');
    await untilQuiet(job, paths, config.watch.settle_seconds, signal);
    if (signal.aborted) return queue.jobs.requeue(job.job);
    if (parts.setBacks(job.job) < MAX_CHANGES) throw asError(error);
  }
  const outcome = result.cancelled ? 'cancelled' : 'failed';
  return decide(job, parts, { outcome, error, failedStage, result: jobResult(result) });
}

export interface Decision {
  outcome: Outcome;
  error: ErrorRecord | null;
  failedStage: string | null;
  result?: JobResult;
}

/**
 * The outcome and its place are in the database before anything of it is on disk. The first decision stands:
 * a job that was cancelled a moment ago does not become a converted one. Only a result that could not be
 * published is decided again (`instead`).
 */
export function decide(
  { job: id }: Pick<Job, 'job'>,
  { config, queue }: Pick<JobRunParts, 'config' | 'queue'>,
  decision: Decision,
  instead: Outcome | null = null,
): Job {
  return queue.transaction(() => {
    const job = queue.jobs.get(id);
    if (job === null) throw new Error(`job ${id} is not in the queue`);
    if (job.outcome !== instead) {
      const { error, result } = decision;
      return queue.jobs.update(id, {
        failedStage: job.failedStage ?? decision.failedStage,
        // The same, with what the stage broke on among its causes.
        ...(error !== null && error.code === job.error?.code ? { error } : {}),
        ...(result === undefined ? {} : { result }),
      });
    }
    const finishedAt = new Date().toISOString();
    const refused = job.records.find(({ stage }) => stage === decision.failedStage);
    if (decision.outcome === 'failed' && refused !== undefined) queue.checkpoints(id).refuse(refused);
    const directory = resultDirectory(config, job, decision.outcome === 'converted', finishedAt);
    return queue.jobs.update(id, {
      ...decision,
      crashes: 0,
      finishedAt,
      // What has its name and is not being taken back is another result, of which an older database knows
      // nothing.
      directory: directory === job.reopen ? directory : freePath(directory),
    });
  });
}

/** A result that cannot be published fails the job when it was a good one; it is tried again when the daemon stops, the disk is full, or the error passes. */
async function publish(
  job: Job,
  options: JobOptions,
  parts: JobRunParts,
  signal: AbortSignal,
): Promise<void> {
  const { config, queue, board } = parts;
  const log = parts.log.logger.child({ job: job.job });
  board.show(job.job, 'publish', 'publishing');
  try {
    await finishJob({ config, queue, job, options, signal, log, notify: parts.notify });
  } catch (thrown) {
    const error = errorRecord(thrown);
    if (signal.aborted && errorRecord(signal.reason).code === 'daemon.stopping') {
      queue.jobs.requeue(job.job);
      return;
    }
    if (isFullDisk(error)) {
      await waitForSpace(job, parts, { error, cause: thrown, failedStage: null }, log);
      return;
    }
    log.error({ err: thrown, code: error.code }, 'result could not be published');
    // A passing error, or one after the result appeared: the same outcome is published again, not another one.
    const isPublished = job.directory !== null && (await exists(job.directory));
    if (job.outcome !== 'converted' || error.retryable || isPublished) throw thrown;
    await publish(
      decide(
        job,
        parts,
        { outcome: signal.aborted ? 'cancelled' : 'failed', error, failedStage: null },
        job.outcome,
      ),
      options,
      parts,
      signal,
    );
  }
}

/**
 * Queued until there is more room than there was where it writes. Where all that it needs is free, it is
 * another disk that was full (the database's), or it has room again: then the error is thrown, and the job is
 * tried again after a pause. A job that goes on to meet a full disk writes more than is known of it: it
 * fails.
 */
async function waitForSpace(
  job: Job,
  parts: JobRunParts,
  thrown: { error: ErrorRecord; cause: unknown; failedStage: string | null },
  log: Logger,
): Promise<Job> {
  const directory = writesTo(job, parts.config);
  const space = await spaceOf(directory);
  const { free } = space;
  const isPublishing = job.outcome !== null && job.reopen === null;
  const needed = isPublishing
    ? await usedBytes(jobPaths(parts.config, job.job).work)
    : (parts.queue.jobs.get(job.job) ?? job).reservedBytes;
  if (free >= needed) {
    if (isPublishing || parts.setBacks(job.job) < MAX_FULL_DISKS) throw thrown.cause;
    const error = errorRecord(noSpace(directory, needed, space));
    return decide(job, parts, { outcome: 'failed', error, failedStage: thrown.failedStage });
  }
  const waitsForBytes = Math.min(free + MORE_THAN_WAS_FREE_BYTES, needed);
  log.warn(
    { code: thrown.error.code, directory, free_bytes: free, waits_for_bytes: waitsForBytes },
    'disk full: the job waits for space',
  );
  return parts.queue.jobs.requeue(job.job, { waitsForBytes });
}

function asError({ code, message, advice, retryable, causes }: ErrorRecord): Hyper2kvmError {
  const cause = causes.reduceRight<Error | undefined>(
    (inner, text) => new Error(text, { cause: inner }),
    undefined,
  );
  return Hyper2kvmError.of(code, message, { advice, retryable, cause });
}

function record(job: string, event: PipelineEvent, queue: Queue, board: Board): void {
  board.apply(job, event);
  if (event.type === 'stage-waiting' || event.type === 'stage-started')
    queue.jobs.update(job, { stage: event.stage });
  if (event.type !== 'stage-finished') return;
  const known = queue.jobs.get(job)?.records ?? [];
  const others = known.filter(({ stage }) => stage !== event.record.stage);
  const done = event.record.status === 'completed' ? { crashes: 0 } : {};
  queue.transaction(() => {
    queue.jobs.update(job, { records: [...others, { ...event.record }], ...done });
    queue.statistics.addRun(event.record);
  });
}

/** With options that cannot be read the failure is published as a plain VM's. */
async function optionsOf(
  job: Job,
  config: Config,
  paths: JobPaths,
  log: Logger,
): Promise<{ options: JobOptions; error: ErrorRecord | null }> {
  try {
    const text = job.refused === null ? await readOptionsFile(await dropOf(paths), job.optionsFile) : null;
    const file = job.optionsFile ?? 'job.toml';
    const renamed = (key: RenamedKey) => log.warn(key, 'option has another name now');
    return { options: jobOptions(config, text, { file, overrides: job.overrides, renamed }), error: null };
  } catch (error) {
    if (!(error instanceof Hyper2kvmError)) throw error;
    return { options: jobOptions(config, null), error: errorRecord(error) };
  }
}

/** The drop's directory, also where an interrupted publication has moved it already. */
async function dropOf(paths: JobPaths): Promise<string> {
  for (const stage of [paths.bundle, paths.failure]) {
    const moved = join(stage, 'source');
    if (!(await exists(paths.source)) && (await exists(moved))) return moved;
  }
  return paths.source;
}

async function untilQuiet(
  job: Job,
  paths: JobPaths,
  settleSeconds: number,
  signal: AbortSignal,
): Promise<void> {
  const look = async () => sourceId(await listSource(paths.source, job.entries));
  const end = performance.now() + QUIET_SECONDS * 1000;
  for (
    let before = '', now = await look();
    now !== before && !signal.aborted && performance.now() < end;
    now = await look()
  ) {
    before = now;
    await sleep(Math.max(settleSeconds, 1) * 1000, undefined, { signal }).catch(() => undefined);
  }
}
