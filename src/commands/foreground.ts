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
import { vmName } from '../model/vm-name.js';
import { newJobId } from '../queue/ids.js';
import { namedDrop } from '../spool/named-drop.js';
import { stemOf } from '../spool/names.js';
import { readOptionsFile } from '../spool/options-file.js';
import { type CommonOptions, configOf, usageError, warnOfRenamed } from './command.js';
import type { Io } from './io.js';
import { createProgress } from './progress.js';

export interface ForegroundOptions extends CommonOptions {
  set?: Record<string, string>;
}

/** A drop that was named on the command line, with its options. */
export interface ForegroundJob {
  job: string;
  vm: string;
  options: JobOptions;
  source: { directory: string; entries: string[] };
}

/**
 * Reads the drop at `path` and its job.toml. Errors: `usage.invalid` if nothing is there, `config.*`,
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
 * Runs the stages on a drop, with progress on stderr (none with --json). `workDirectory` exists; the caller
 * removes what is left in it. The detailed log is in its job.log. SIGINT and SIGTERM cancel.
 */
export async function runForeground(
  io: Io,
  drop: ForegroundJob,
  run: { workDirectory: string; json: boolean; until?: StageName },
): Promise<PipelineResult> {
  // Loads all stages with their libraries, which commands that only ask the daemon do not need.
  const { runPipeline } = await import('../stages/pipeline.js');
  const progress = createProgress(io, { silent: run.json });
  const { level } = drop.options.config.log;
  // Stdout is for the result and stderr for progress, so the log goes only to its file.
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
      // Waiting for space is not possible here, and the worst case need not happen.
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

/**
 * Returns the real path of the user's file. The stages refuse links, so they are followed here, as the user
 * meant.
 */
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

/** Separates the settings: the daemon's options override its configuration, the per-VM ones the job.toml. */
function splitSettings(settings: Record<string, string>) {
  const daemonOnly = new Set(optionTable().flatMap(({ key, perJob }) => (perJob ? [] : [key])));
  const entries = Object.entries(settings);
  return {
    flags: Object.fromEntries(entries.filter(([key]) => daemonOnly.has(key))),
    overrides: Object.fromEntries(entries.filter(([key]) => !daemonOnly.has(key))),
  };
}
