import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { JobOptions } from '../config/schema.js';
import type { CheckpointStore, PipelineEvent } from '../engine/types.js';
import { type ErrorRecord, Hyper2kvmError, isFullDisk } from '../errors/error.js';
import { failpoint } from '../host/failpoint.js';
import type { Job } from '../model/job.js';
import { listSource, sourceId } from '../sources/local/list-source.js';
import { preparedBytes } from '../stages/warm/base-copy.js';
import { decide } from './decide.js';
import { jobResult } from './job-summary.js';
import { type JobPaths, jobPaths } from './paths.js';
import type { JobRun } from './process-job.js';
import { waitForSpace } from './wait-for-space.js';

/**
 * How often a drop may be written to while it is converted, each time after it had been quiet. There are
 * pauses in between, because endless writing must not occupy a worker.
 */
const MAX_CHANGES = 5;
const QUIET_SECONDS = 600;

/** Runs the pipeline for a job. Resolves with the job decided, queued again, or parked. */
export async function runJob(job: Job, options: JobOptions, run: JobRun, log: Logger): Promise<Job> {
  const { config, queue, lease, signal, admission } = run;
  const paths = jobPaths(config, job.job);
  const isBase = options.warm && job.warm !== 'cutover';
  log.info({ vm: job.vm, drop: job.dropName, kind: options.kind }, 'job started');
  const result = await run.runPipeline({
    job: { id: job.job, vm: job.vm },
    options,
    isBase,
    workDirectory: paths.work,
    source: { directory: paths.source, entries: job.entries },
    priority: job.priority,
    signal,
    log,
    store: checkpointStore(run),
    lanes: run.lanes,
    reserve: (bytes, settings) => admission.reserve(lease, bytes, settings),
    onEvent: (event) => record(event, run),
  });
  const { error, failedStage, records } = result;
  const isCancelled = (await queue.runs.endStages(lease, records)).outcome !== null;
  if (error === null && isBase && !isCancelled) {
    log.info('the base is prepared, job is parked until its cutover');
    failpoint('warm.before-park');
    return queue.runs.park(lease, {
      result: jobResult(result),
      writtenBytes: await preparedBytes(paths.work),
    });
  }
  if (error === null || isCancelled)
    return decide(job, run, {
      outcome: 'converted',
      error,
      failedStage,
      result: jobResult(result),
    });
  if (result.cancelled && error.code === 'daemon.stopping') {
    log.info({ stage: failedStage }, 'job interrupted, resuming it at the next start');
    return queue.runs.requeue(lease);
  }
  if (error.code === 'host.waits-for-space') {
    log.warn({ code: error.code, error: error.message }, 'job is waiting for space');
    return queue.runs.requeue(lease, { waitsForBytes: admission.bytesToWaitFor(job.job) });
  }
  if (isFullDisk(error)) return waitForSpace(job, run, { error, cause: errorOf(error), failedStage }, log);
  if (error.code === 'source.changed') {
    log.warn(
      { code: error.code },
      'drop is still being written, restarting the job when it is unchanged for a while',
    );
    await untilQuiet(job, paths, config.watch.settle_seconds, signal);
    if (signal.aborted) return queue.runs.requeue(lease);
    if (run.putBacks(job.job) < MAX_CHANGES) throw errorOf(error);
  }
  const outcome = result.cancelled ? 'cancelled' : 'failed';
  return decide(job, run, { outcome, error, failedStage, result: jobResult(result) });
}

function checkpointStore({ queue: { checkpoints }, lease }: JobRun): CheckpointStore {
  return {
    load: () => checkpoints.load(lease.job),
    save: (checkpoint) => checkpoints.save(lease, checkpoint),
    truncate: (stage) => checkpoints.truncate(lease, stage),
  };
}

/** Shows the event, and stores what must persist after the run. */
async function record(event: PipelineEvent, { queue, lease, progress }: JobRun): Promise<void> {
  progress.apply(lease.job, event);
  if (event.type === 'stage-waiting' || event.type === 'stage-started')
    await queue.runs.enterStage(lease, event.stage);
  if (event.type === 'stage-advanced') await queue.runs.advanced(lease);
  if (event.type === 'stage-finished') await queue.runs.recordStage(lease, event.record);
}

async function untilQuiet(
  job: Job,
  paths: JobPaths,
  settleSeconds: number,
  signal: AbortSignal,
): Promise<void> {
  const read = async () => sourceId(await listSource(paths.source, job.entries));
  const end = performance.now() + QUIET_SECONDS * 1000;
  for (
    let before = '', now = await read();
    now !== before && !signal.aborted && performance.now() < end;
    now = await read()
  ) {
    before = now;
    await sleep(Math.max(settleSeconds, 1) * 1000, undefined, { signal }).catch(() => undefined);
  }
}

function errorOf({ code, message, advice, retryable, causes }: ErrorRecord): Hyper2kvmError {
  const cause = causes.reduceRight<Error | undefined>(
    (inner, text) => new Error(text, { cause: inner }),
    undefined,
  );
  return Hyper2kvmError.of(code, message, { advice, retryable, cause });
}
