import type { Config, JobOptions } from '../config/schema.js';
import type { ErrorCode } from '../errors/catalogue.js';
import { Hyper2kvmError } from '../errors/error.js';
import { run } from '../tools/run.js';
import type { StageContext } from './stage.js';

type Hook = Config['pipeline']['hooks'][number];

/** Returns the hooks of one stage, in the order of the configuration. */
export function hooksOf(options: JobOptions, stage: string): Hook[] {
  return options.config.pipeline.hooks.filter((hook) => hook.stage === stage);
}

/**
 * Runs the operator's programs for this stage one after the other, in the work directory, with the job as
 * JSON on stdin (documented in docs/operations.md). Stops at the first that fails, with `hook.failed` or
 * `hook.timeout`. An abort kills its process group.
 */
export async function runHooks(
  when: Hook['when'],
  stage: string,
  context: StageContext,
  { outputs, output }: { outputs: Readonly<Record<string, unknown>>; output?: unknown },
): Promise<void> {
  const { job, options, workDirectory, source, signal, log } = context;
  const input = JSON.stringify({
    when,
    stage,
    job: job.id,
    vm: job.vm,
    kind: options.kind,
    work_directory: workDirectory,
    source,
    outputs,
    ...(when === 'after' ? { output } : {}),
  });
  for (const hook of hooksOf(options, stage)) {
    if (hook.when !== when) continue;
    const [file, ...args] = hook.command as [string, ...string[]];
    log.info({ hook: file, when }, 'hook started');
    const { seconds } = await run(file, args, {
      signal,
      timeoutSeconds: hook.timeout_seconds,
      cwd: workDirectory,
      input,
    }).catch((error: unknown) => {
      throw hookError(error, file, when, stage);
    });
    log.info({ hook: file, when, seconds: Math.round(seconds * 1000) / 1000 }, 'hook finished');
  }
}

const CODES: Readonly<Record<string, ErrorCode>> = {
  'tool.timeout': 'hook.timeout',
  'tool.not-started': 'hook.failed',
  'tool.failed': 'hook.failed',
  'tool.killed': 'hook.failed',
  'tool.output-flood': 'hook.failed',
};

function hookError(error: unknown, file: string, when: Hook['when'], stage: string): unknown {
  const code = error instanceof Hyper2kvmError ? CODES[error.code] : undefined;
  if (code === undefined) return error;
  return new Hyper2kvmError(code, `the hook ${when} ${stage.toUpperCase()}: ${(error as Error).message}`, {
    advice: `Fix ${file}, then run \`hyper2kvm retry\`: the job continues at this stage.`,
    cause: (error as Error).cause,
  });
}
