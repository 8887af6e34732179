import { z } from 'zod';
import { type ConfigProblem, configError, problemsOf, readToml } from './check.js';
import { fromText, optionTable, tableSchemas } from './options.js';
import {
  type Config,
  configSchema,
  type JobOptions,
  jobKindSchema,
  jobOptionsSchema,
  vmOptionsSchema,
} from './schema.js';

/** What a job.toml may hold: `kind`, `[vm]`, and of the configuration's tables the keys with `perJob`, none of them required. */
function jobTomlSchema() {
  const tables = tableSchemas().flatMap(([name, schema]) => {
    const perJob = Object.entries(schema.shape).filter(([, option]) => (option as z.ZodType).meta()?.perJob);
    if (perJob.length === 0) return [];
    const shape = Object.fromEntries(
      perJob.map(([key, option]) => [key, withoutDefault(option as z.ZodType)]),
    );
    return [[name, z.strictObject(shape).optional()] as const];
  });
  return z.strictObject({
    kind: jobKindSchema.optional(),
    vm: vmOptionsSchema.optional(),
    ...Object.fromEntries(tables),
  });
}

/** A default here would overwrite the configuration's value with the built-in one. */
function withoutDefault(option: z.ZodType): z.ZodType {
  return option instanceof z.ZodDefault ? (option.unwrap() as z.ZodType).optional() : option;
}

/**
 * How one VM is handled: the daemon's configuration with the drop's job.toml over it (`null`: there is none) and then `overrides`, dotted key to value,
 * as `retry --set` gives them. Throws `job-options.syntax`, `job-options.unknown-key`, `job-options.invalid-value`.
 */
export function jobOptions(
  config: Config,
  jobToml: string | null,
  settings: { file?: string; overrides?: Readonly<Record<string, string>> } = {},
): JobOptions {
  const file = settings.file ?? 'job.toml';
  const read = readToml(jobToml ?? '', file);
  if (read.problem !== null) throw configError('job-options', [read.problem]);
  const table = withOverrides(
    structuredClone(read.table) as Record<string, unknown>,
    settings.overrides ?? {},
  );
  const parsed = jobTomlSchema().safeParse(table);
  if (!parsed.success) {
    const problems = problemsOf(parsed.error, jobKeys(), (key) => {
      const position = read.positions.get(key) ?? null;
      const at = position === null ? '' : `:${position.line}:${position.column}`;
      return { where: settings.overrides?.[key] === undefined ? `${file}${at}` : `--set ${key}`, position };
    });
    throw configError('job-options', problems.map(explainDaemonOption));
  }
  const { kind, vm, ...tables } = parsed.data as Record<string, unknown>;
  const merged = Object.fromEntries(
    Object.entries(config).map(([name, values]) => [
      name,
      { ...values, ...(tables[name] as object | undefined) },
    ]),
  );
  return jobOptionsSchema.parse({
    ...(kind === undefined ? {} : { kind }),
    ...(vm === undefined ? {} : { vm }),
    config: configSchema.parse(merged),
  });
}

function jobKeys(): string[] {
  const perJob = optionTable().filter((option) => option.perJob);
  return [
    'kind',
    ...Object.keys(vmOptionsSchema.shape).map((name) => `vm.${name}`),
    ...perJob.map(({ key }) => key),
  ];
}

/** A known option of the daemon in a job.toml is no typing mistake: say so. */
function explainDaemonOption(problem: ConfigProblem): ConfigProblem {
  const option = optionTable().find(({ key, table }) => key === problem.key || table === problem.key);
  if (problem.kind !== 'unknown-key' || option === undefined) return problem;
  return { ...problem, message: 'cannot be set for one VM, only for the daemon', suggestion: null };
}

function withOverrides(
  table: Record<string, unknown>,
  overrides: Readonly<Record<string, string>>,
): Record<string, unknown> {
  const defaults = new Map(optionTable().map((option) => [option.key, option.default]));
  for (const [key, text] of Object.entries(overrides)) {
    const [name, ...rest] = key.split('.') as [string, ...string[]];
    const isNumber = key === 'vm.memory' || key === 'vm.vcpus';
    const value = fromText({ default: isNumber ? 0 : defaults.get(key) }, text);
    const inner = table[name];
    table[name] = rest.length === 0 ? value : { ...(inner as object | undefined), [rest.join('.')]: value };
  }
  return table;
}
