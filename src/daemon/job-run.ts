import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { jobOptions } from '../config/load.js';
import type { Config, JobOptions } from '../config/schema.js';
import { type ErrorRecord, errorRecord, Hyper2kvmError, isFullDisk } from '../errors.js';
import { failpoint } from '../host/failpoint.js';
import type { LogRoot } from '../host/log.js';
import { freeBytes } from '../host/space.js';
import { listSource, sourceId } from '../pipeline/content-id.js';
import type { Lanes, PipelineEvent, PipelineRequest, PipelineResult } from '../pipeline/run-types.js';
import type { Job, JobResult, Outcome } from '../queue/job.js';
import type { Queue } from '../queue/queue.js';
import { readOptionsFile } from '../spool/options-file.js';
import { pathExists } from '../spool/publish.js';
import { takeDirectories } from '../spool/take-directories.js';
import type { Board } from './board.js';
import { type FinishRequest, finishJob, reopenJob } from './finish.js';
import { type JobPaths, jobPaths, resultDirectory, writesTo } from './paths.js';
import { jobResult } from './result.js';

export interface JobRunParts {
  config: Config;
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
  if (decidedDirectory !== null && (await pathExists(decidedDirectory))) {
    // Killed after the result appeared: its log is closed, its options do not matter any more.
    const log = parts.log.logger.child({ job: queued.job });
    const options = jobOptions(config, null);
    await finishJob({ config, queue, job: queued, options, signal, log, notify: parts.notify });
    return;
  }
  const job = await reopenJob(config, queue, queued, signal);
  const paths = jobPaths(config, job.job);
  const jobLog = parts.log.jobLogger(paths.log, { job: job.job });
  const log = jobLog.logger;
  try {
    // First of all: what is read of a dropped directory must not be exchanged by its owner.
    const taken = job.outcome === null ? await takeOver(paths) : null;
    const { options, error } = await optionsOf({ ...job, refused: job.refused ?? taken }, config, paths);
    let decided = job;
    if (job.outcome === null) {
      const failure = job.refused ?? taken ?? error ?? crashLoop(job);
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

/** Null when every directory of the drop is the daemon's own; the drop's own failure otherwise. */
async function takeOver(paths: JobPaths): Promise<ErrorRecord | null> {
  try {
    await takeDirectories(paths.source, paths.work);
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
  const started = job.startedAt ?? new Date().toISOString();
  queue.jobs.update(job.job, { state: 'running', startedAt: started, error: null, waitsForBytes: null });
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
    onEvent: (event) => record(job.job, event, queue, board),
  });
  const { error, failedStage, records } = result;
  queue.jobs.update(job.job, { records });
  if (error === null)
    return decide(job, parts, {
      outcome: 'converted',
      error: null,
      failedStage: null,
      result: jobResult(result.outputs),
    });
  if (result.cancelled && error.code === 'daemon.stopping') {
    log.info({ stage: failedStage }, 'job interrupted, it resumes at the next start');
    return queue.jobs.update(job.job, { state: 'queued' });
  }
  if (isFullDisk(error)) return waitForSpace(job, parts, { error, cause: asError(error) }, log);
  if (error.code === 'source.changed') {
    log.warn({ code: error.code }, 'drop is still being written: the job starts again when it is quiet');
    await untilQuiet(job, paths, config.watch.settle_seconds, signal);
    return queue.jobs.update(job.job, { state: 'queued' });
  }
  const outcome = result.cancelled ? 'cancelled' : 'failed';
  return decide(job, parts, { outcome, error, failedStage, result: jobResult(result.outputs) });
}

/** The outcome and its place are in the database before anything of it is on disk. */
export function decide(
  job: Job,
  { config, queue }: Pick<JobRunParts, 'config' | 'queue'>,
  decision: { outcome: Outcome; error: ErrorRecord | null; failedStage: string | null; result?: JobResult },
): Job {
  const finishedAt = new Date().toISOString();
  return queue.jobs.update(job.job, {
    ...decision,
    crashes: 0,
    finishedAt,
    directory: resultDirectory(config, job, decision.outcome === 'converted', finishedAt),
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
      queue.jobs.update(job.job, { state: 'queued' });
      return;
    }
    if (isFullDisk(error)) {
      await waitForSpace(job, parts, { error, cause: thrown }, log);
      return;
    }
    log.error({ err: thrown, code: error.code }, 'result could not be published');
    // A passing error, or one after the result appeared: the same outcome is published again, not another one.
    const isPublished = job.directory !== null && (await pathExists(job.directory));
    if (job.outcome !== 'converted' || error.retryable || isPublished) throw thrown;
    await publish(
      decide(job, parts, { outcome: signal.aborted ? 'cancelled' : 'failed', error, failedStage: null }),
      options,
      parts,
      signal,
    );
  }
}

/**
 * Queued until there is more room than there was where it writes. Where all that was reserved for the job is free, it is another disk that was full (the
 * database's), or it has room again: then the error is thrown, and the job is tried again after a pause.
 */
async function waitForSpace(
  job: Job,
  parts: JobRunParts,
  thrown: { error: ErrorRecord; cause: unknown },
  log: Logger,
): Promise<Job> {
  const directory = writesTo(job, parts.config);
  const free = await freeBytes(directory);
  if (free >= job.reservedBytes) throw thrown.cause;
  const waitsForBytes = Math.min(free + MORE_THAN_WAS_FREE_BYTES, job.reservedBytes);
  log.warn(
    { code: thrown.error.code, directory, free_bytes: free, waits_for_bytes: waitsForBytes },
    'disk full: the job waits for space',
  );
  return parts.queue.jobs.update(job.job, { state: 'queued', waitsForBytes });
}

function asError({ code, message, advice, retryable, causes }: ErrorRecord): Hyper2kvmError {
  const cause = causes.reduceRight<Error | undefined>(
    (inner, text) => new Error(text, { cause: inner }),
    undefined,
  );
  return new Hyper2kvmError(code, message, { advice, retryable, cause });
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
): Promise<{ options: JobOptions; error: ErrorRecord | null }> {
  try {
    const text = job.refused === null ? await readOptionsFile(await dropOf(paths), job.optionsFile) : null;
    const file = job.optionsFile ?? 'job.toml';
    return { options: jobOptions(config, text, { file, overrides: job.overrides }), error: null };
  } catch (error) {
    if (!(error instanceof Hyper2kvmError)) throw error;
    return { options: jobOptions(config, null), error: errorRecord(error) };
  }
}

/** The drop's directory, also where an interrupted publication has moved it already. */
async function dropOf(paths: JobPaths): Promise<string> {
  for (const stage of [paths.bundle, paths.failure]) {
    const moved = join(stage, 'source');
    if (!(await pathExists(paths.source)) && (await pathExists(moved))) return moved;
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
  for (let before = '', now = await look(); now !== before && !signal.aborted; now = await look()) {
    before = now;
    await sleep(Math.max(settleSeconds, 1) * 1000, undefined, { signal }).catch(() => undefined);
  }
}
