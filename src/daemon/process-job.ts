import { join } from 'node:path';
import type { Logger } from 'pino';
import { jobOptions } from '../config/load.js';
import type { RenamedKey } from '../config/renamed.js';
import type { Config, JobOptions } from '../config/schema.js';
import type { Lanes, PipelineRequest, PipelineResult } from '../engine/types.js';
import { type ErrorRecord, errorRecord, Hyper2kvmError } from '../errors/error.js';
import { exists } from '../files/exists.js';
import { takeDirectories } from '../files/take-directories.js';
import { failpoint } from '../host/failpoint.js';
import type { LogRoot } from '../host/log.js';
import type { Job } from '../model/job.js';
import type { NotifyEvent } from '../notifications/event.js';
import type { NewNotification } from '../queue/outbox.js';
import type { Lease, QueueStore, StartedJob } from '../queue/store.js';
import { readOptionsFile } from '../spool/options-file.js';
import type { Admission } from './admission.js';
import { decide } from './decide.js';
import { finishJob } from './finish.js';
import type { LiveProgress } from './live-progress.js';
import { type JobPaths, jobPaths } from './paths.js';
import { publishResult } from './publish-result.js';
import { reopenJob } from './reopen.js';
import { runJob } from './run-job.js';
import { takeDelta } from './take-delta.js';

export interface JobParts {
  config: Config;
  queue: QueueStore;
  admission: Admission;
  lanes: Lanes;
  progress: LiveProgress;
  log: LogRoot;
  /** How many times in a row this job was put back into the queue because of a failure of the host. */
  putBacks(job: string): number;
  /** Returns what the receivers of an event are sent. */
  notifications(event: NotifyEvent): NewNotification[];
  runPipeline(request: PipelineRequest): Promise<PipelineResult>;
}

/** A run of a job, with its lease. */
export interface JobRun extends JobParts {
  lease: Lease;
  signal: AbortSignal;
}

/**
 * A job during which this many daemons died, with no stage completed in between, fails: it may be what kills
 * them.
 */
const MAX_CRASHES = 3;

/**
 * Takes a started job to its published result, or back into the queue: if the daemon stops, the disk is full,
 * or its drop was still being written. Rejects for failures of the daemon, never for the job's own.
 */
export async function processJob(started: StartedJob, parts: JobParts, signal: AbortSignal): Promise<void> {
  const { config, queue, notifications } = parts;
  const { lease } = started;
  const run: JobRun = { ...parts, lease, signal };
  // A directory that is being taken back (`reopen`) is not a result: parts of it are in work/ already.
  const decidedDirectory =
    started.job.outcome === null || started.job.reopen !== null ? null : started.job.directory;
  if (decidedDirectory !== null && (await exists(decidedDirectory))) {
    // The daemon was killed after the result appeared: the log is closed, and the options no longer matter.
    const log = parts.log.logger.child({ job: lease.job });
    const options = jobOptions(config, null);
    await finishJob({ config, queue, lease, job: started.job, options, signal, log, notifications });
    return;
  }
  const reopened = await reopenJob(started.job, run);
  if (isPutBack(reopened)) return;
  const { job, error: deltaError } = await takeDelta(reopened, run);
  const paths = jobPaths(config, lease.job);
  const jobLog = parts.log.jobLogger(paths.log, { job: lease.job });
  try {
    // This comes first, so that the owner of a dropped directory can no longer swap its contents.
    const taken = job.outcome === null ? await takeOver(paths) : null;
    const refused = job.refused ?? taken ?? deltaError;
    const { options, error } = await optionsOf({ ...job, refused }, config, paths, jobLog.logger);
    let decided = job;
    if (job.outcome === null) {
      const failure = refused ?? error ?? crashLoop(job) ?? (await sourceGone(paths));
      decided =
        failure === null
          ? await runJob(job, options, run, jobLog.logger)
          : await decide(job, run, { outcome: 'failed', error: failure, failedStage: null });
    }
    // Nothing may be written to the job's log once its digest is computed.
    jobLog.close();
    if (isPutBack(decided)) return;
    failpoint('finish.decided');
    await publishResult(decided, options, run);
  } finally {
    jobLog.close();
  }
}

/** The run is over and the job waits for another one, whatever the decision. */
function isPutBack({ state }: Job): boolean {
  return state === 'queued';
}

/**
 * Returns the error for a job whose drop is gone, because the job has ended since an older database was
 * saved, or its work directory is lost.
 */
async function sourceGone(paths: JobPaths): Promise<ErrorRecord | null> {
  const source = await dropOf(paths);
  if (await exists(source)) return null;
  return errorRecord(
    new Hyper2kvmError('queue.source-gone', `the drop is no longer in ${source}`, {
      advice:
        'See archive/ and failed/ for an earlier result of this job; otherwise drop the VM into incoming again.',
    }),
  );
}

/** Returns null if every directory of the drop belongs to the daemon, otherwise the drop's failure. */
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
    ),
  );
}

/** If the options cannot be read, the failure is published with default options. */
async function optionsOf(
  job: Job,
  config: Config,
  paths: JobPaths,
  log: Logger,
): Promise<{ options: JobOptions; error: ErrorRecord | null }> {
  try {
    const text = job.refused === null ? await readOptionsFile(await dropOf(paths), job.optionsFile) : null;
    const file = job.optionsFile ?? 'job.toml';
    const renamed = (key: RenamedKey) => log.warn(key, 'option has been renamed');
    return { options: jobOptions(config, text, { file, overrides: job.overrides, renamed }), error: null };
  } catch (error) {
    if (!(error instanceof Hyper2kvmError)) throw error;
    return { options: jobOptions(config, null), error: errorRecord(error) };
  }
}

/** Returns the drop's directory, even if an interrupted publication has moved it already. */
async function dropOf(paths: JobPaths): Promise<string> {
  for (const stage of [paths.bundle, paths.failure]) {
    const moved = join(stage, 'source');
    if (!(await exists(paths.source)) && (await exists(moved))) return moved;
  }
  return paths.source;
}
