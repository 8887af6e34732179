import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import type { Config } from '../config/schema.js';
import { Hyper2kvmError } from '../errors/error.js';
import { STAGE_NAMES } from '../model/stage-names.js';
import type { Stage, StageContext } from './stage.js';

type ExtraConfig = Config['pipeline']['extra'];
type Run = (context: StageContext, input: Record<string, unknown>) => unknown;

const optionalFunction = <T>() =>
  z.custom<T>((value) => typeof value === 'function', 'not a function').optional();

/** The default export of a module in `[[pipeline.extra]]`. */
const contract = z.object({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,31}$/, 'at most 32 lowercase letters, digits and dashes')
    .refine((name) => !STAGE_NAMES.some((own) => own === name), 'the name of one of hyper2kvm’s own stages'),
  version: z.int().min(1),
  lane: z.enum(['appliances', 'conversions', 'boots']).optional(),
  enabled: optionalFunction<NonNullable<Stage['enabled']>>(),
  run: z.custom<Run>((value) => typeof value === 'function', 'a function (context, input) is needed'),
  cleanup: optionalFunction<NonNullable<Stage['cleanup']>>(),
});

/** A third party's stage, and the stage that it follows. */
export interface ExtraStage {
  after: string;
  stage: Stage;
}

/**
 * Imports the modules of `[[pipeline.extra]]` in order. Node caches imported modules, so a changed one needs
 * a restart. Throws `config.extra-stage` for a module that cannot be loaded or does not fulfil the contract,
 * or for a duplicate name.
 */
export async function loadExtraStages(extra: ExtraConfig): Promise<ExtraStage[]> {
  const stages: ExtraStage[] = [];
  for (const { after, module } of extra) {
    const stage = await loadStage(module);
    if (stages.some((other) => other.stage.name === stage.name))
      throw unusable(module, `another module has the name ${stage.name} already`);
    stages.push({ after, stage });
  }
  return stages;
}

/**
 * Inserts each extra stage after the one that it names; several after the same one stay in the order of the
 * configuration.
 */
export function withExtraStages(own: readonly Stage[], extra: readonly ExtraStage[]): Stage[] {
  return own.flatMap((stage) => [
    stage,
    ...extra.filter(({ after }) => after === stage.name).map((entry) => entry.stage),
  ]);
}

async function loadStage(module: string): Promise<Stage> {
  const loaded: unknown = await import(pathToFileURL(module).href).catch((cause: unknown) => {
    throw unusable(module, cause instanceof Error ? cause.message : String(cause), cause);
  });
  const parsed = contract.safeParse((loaded as { default?: unknown }).default);
  if (!parsed.success) {
    const what = parsed.error.issues.map(
      ({ path, message }) => `${['default', ...path].join('.')}: ${message}`,
    );
    throw unusable(module, what.join('; '));
  }
  const { name, version, lane, enabled, run, cleanup } = parsed.data;
  return {
    name,
    version,
    ...(lane === undefined ? {} : { lane }),
    ...(enabled === undefined ? {} : { enabled }),
    input: z.record(z.string(), z.unknown()),
    output: z.json(),
    // It may read any of them.
    dependsOn: (options) => options,
    run: (context, input) => runExtra(name, run, context, input as Record<string, unknown>),
    ...(cleanup === undefined ? {} : { cleanup }),
  };
}

/** Runs an extra stage. Errors with a code keep it; any other becomes `extra.failed`. */
async function runExtra(
  name: string,
  run: Run,
  context: StageContext,
  input: Record<string, unknown>,
): Promise<unknown> {
  let output: unknown;
  try {
    output = (await run(context, input)) ?? null;
  } catch (error) {
    throw ownError(name, error);
  }
  if (z.json().safeParse(output).success) return output;
  throw new Hyper2kvmError('extra.output', `the stage ${name} returned a result that is not JSON`);
}

const codedError = z.object({
  code: z.string().regex(/^[a-z0-9-]+\.[a-z0-9-]+$/),
  message: z.string(),
  advice: z.string().default(''),
  retryable: z.boolean().default(false),
});

function ownError(name: string, error: unknown): unknown {
  if (error instanceof Hyper2kvmError || (error instanceof Error && error.name === 'AbortError'))
    return error;
  const coded = codedError.safeParse(error);
  if (coded.success) {
    const { code, message, advice, retryable } = coded.data;
    return Hyper2kvmError.of(code, message, { advice, retryable, cause: error });
  }
  return new Hyper2kvmError(
    'extra.failed',
    `the stage ${name} failed: ${(error as Error)?.message ?? error}`,
    {
      cause: error,
    },
  );
}

function unusable(module: string, why: string, cause?: unknown): Hyper2kvmError {
  return new Hyper2kvmError('config.extra-stage', `${module} is not a stage: ${why}`, {
    cause,
  });
}
