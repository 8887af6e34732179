import { mkdir, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { jobOptions, optionTable } from '../config/load.js';
import type { RenamedKey } from '../config/renamed.js';
import type { JobOptions } from '../config/schema.js';
import { isNotUtf8, refusedName } from '../disk/base/names.js';
import { PipelineLanes } from '../engine/lanes.js';
import { MemoryCheckpointStore } from '../engine/memory-store.js';
import type { PipelineResult } from '../engine/types.js';
import { isErrorCode } from '../errors/errno.js';
import { noSpace, spaceOf } from '../files/space.js';
import { createLog } from '../host/log.js';
import type { StageName } from '../model/stage-names.js';
import { newJobId } from '../queue/ids.js';
import { namedDrop } from '../spool/named-drop.js';
import { stemOf, vmName } from '../spool/names.js';
import { readOptionsFile } from '../spool/options-file.js';
import { type CommonOptions, configOf, usageError, warnOfRenamed } from './command.js';
import type { Io } from './io.js';
import { createProgress } from './progress.js';

export interface ForegroundOptions extends CommonOptions {
  set?: Record<string, string>;
}

/** A drop that was named on the command line: what it is, and how it is to be handled. */
export interface ForegroundJob {
  job: string;
  vm: string;
  options: JobOptions;
  source: { directory: string; entries: string[] };
}

/**
 * Reads the drop at `path` and its job.toml. Errors: `usage.invalid` where nothing is there, `config.*`,
 * `job-options.*`.
 */
export async function openDrop(io: Io, path: string, options: ForegroundOptions): Promise<ForegroundJob> {
  const { flags, overrides } = splitSettings(options.set ?? {});
  const { config, renamed } = configOf(io, options, flags);
  warnOfRenamed(io, renamed);
  if (isNotUtf8(path)) throw refusedName(path);
  const real = await realPath(path);
  const directory = dirname(real);
  const drop = await namedDrop(directory, basename(real));
  const text = await readOptionsFile(directory, drop.options);
  const settings = {
    overrides,
    renamed: (key: RenamedKey) => warnOfRenamed(io, [key]),
    ...(drop.options === null ? {} : { file: join(directory, drop.options) }),
  };
  const jobSettings = jobOptions(config, text, settings);
  return {
    job: newJobId(Date.now()),
    vm: jobSettings.vm.name ?? vmName(stemOf(basename(real))),
    options: jobSettings,
    source: { directory, entries: drop.entries },
  };
}

/**
 * Runs the stages on a drop, with progress on stderr (none with --json). `workDirectory` exists; what is left
 * in it is the caller's to remove, the log of all details is in its job.log. SIGINT and SIGTERM cancel.
 */
export async function runForeground(
  io: Io,
  drop: ForegroundJob,
  run: { workDirectory: string; json: boolean; until?: StageName },
): Promise<PipelineResult> {
  // All stages with their libraries: not loaded for the commands that only ask the daemon.
  const { runPipeline } = await import('../stages/pipeline.js');
  const progress = createProgress(io, { silent: run.json });
  const { level } = drop.options.config.log;
  // Stdout is for the result, stderr for the progress: the log goes into its file alone.
  const log = createLog({ level, writer: () => {} }).jobLogger(join(run.workDirectory, 'job.log'), {
    job: drop.job,
  });
  try {
    return await runPipeline({
      job: { id: drop.job, vm: drop.vm },
      options: drop.options,
      workDirectory: run.workDirectory,
      source: drop.source,
      priority: 0,
      signal: io.interruption(),
      log: log.logger,
      store: new MemoryCheckpointStore(),
      lanes: new PipelineLanes(drop.options.config.workers),
      ...(run.until === undefined ? {} : { until: run.until }),
      // Nobody is waited for here, and the worst case need not come.
      async reserve(bytes) {
        const space = await spaceOf(run.workDirectory);
        if (bytes > space.total) throw noSpace(run.workDirectory, bytes, space);
      },
      onEvent: progress.event,
    });
  } finally {
    progress.end();
    log.close();
  }
}

export async function makeWorkDirectory(path: string): Promise<string> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  return path;
}

/** Names the user's file where links are followed: that is what was meant, and stages see no link. */
async function realPath(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (cause) {
    const missing = isErrorCode(cause, 'ENOENT');
    throw usageError(
      missing ? `${path} does not exist` : `${path} cannot be opened`,
      'Name a disk image, a VM’s directory, or an .ova.',
      cause,
    );
  }
}

/** The daemon's options go over its configuration, the per-VM ones over the job.toml. */
function splitSettings(settings: Record<string, string>) {
  const daemonOnly = new Set(optionTable().flatMap(({ key, perJob }) => (perJob ? [] : [key])));
  const entries = Object.entries(settings);
  return {
    flags: Object.fromEntries(entries.filter(([key]) => daemonOnly.has(key))),
    overrides: Object.fromEntries(entries.filter(([key]) => !daemonOnly.has(key))),
  };
}
