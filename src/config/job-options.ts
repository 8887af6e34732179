import { z } from 'zod';
import { type ConfigProblem, configError, problemsOf, readToml } from './check.js';
import { jobSourceTable, refuseForeignSource, resolveSource } from './job-source.js';
import { fromText, type OptionRow, optionTable, tableSchemas } from './option-table.js';
import { formerly, moveFormerKeys, type RenamedKey } from './renamed.js';
import {
  type Config,
  configSchema,
  type JobOptions,
  jobKindSchema,
  jobOptionsSchema,
  vmOptionsSchema,
} from './schema.js';
import { nearestPlace } from './toml-position.js';

type Who = 'operator' | 'dropper';

/** Returns the options that `by` may set for one VM. */
function perVmOptions(by: Who): OptionRow[] {
  return optionTable().filter(({ perJob, setBy }) => perJob && (by === 'operator' || setBy === by));
}

/**
 * Returns the schema of `kind`, `warm`, `[vm]`, `[source]`, and the options that `by` may set for one VM, all of them optional.
 */
function perVmSchema(by: Who) {
  const keys = new Set(perVmOptions(by).map(({ key }) => key));
  const tables = tableSchemas().flatMap(([name, schema]) => {
    const own = Object.entries(schema.shape).filter(([key]) => keys.has(`${name}.${key}`));
    if (own.length === 0) return [];
    const shape = Object.fromEntries(own.map(([key, option]) => [key, withoutDefault(option as z.ZodType)]));
    return [[name, z.strictObject(shape).optional()] as const];
  });
  return z.strictObject({
    kind: jobKindSchema.optional(),
    warm: z.boolean().optional(),
    vm: vmOptionsSchema.optional(),
    source: jobSourceTable.optional(),
    ...Object.fromEntries(tables),
  });
}

/** Removes a default, which would override the configuration's value with the built-in one. */
function withoutDefault(option: z.ZodType): z.ZodType {
  return option instanceof z.ZodDefault ? (option.unwrap() as z.ZodType).optional() : option;
}

export interface JobSettings {
  /** The job.toml's name, for messages. */
  file?: string;
  /** Dotted key to value, as from `retry --set`. */
  overrides?: Readonly<Record<string, string>>;
  /** Called for each key that has been renamed. */
  renamed?(key: RenamedKey): void;
}

/**
 * Returns how one VM is handled: the daemon's configuration, overridden by the drop's job.toml (`null` if
 * there is none) and then by `overrides`, dotted key to value, as from `retry --set`. The job.toml is the
 * dropper's, so it may set less; the overrides are an operator's. Throws `job-options.syntax`,
 * `job-options.unknown-key`, `job-options.invalid-value`, and `remote.*` for a `[source]` that is refused.
 */
export function jobOptions(config: Config, jobToml: string | null, settings: JobSettings = {}): JobOptions {
  const { file = 'job.toml', renamed = () => {} } = settings;
  const overrides = withNewKeys(settings.overrides ?? {}, renamed);
  const dropped = readToml(jobToml ?? '', file);
  if (dropped.problem !== null) throw configError('job-options', [dropped.problem]);
  const inFile = (key: string) => {
    const position = nearestPlace(dropped.positions, key);
    const at = position === null ? '' : `:${position.line}:${position.column}`;
    return { where: `${file}${at}`, position };
  };
  const written = structuredClone(dropped.table) as Record<string, unknown>;
  moveFormerKeys(written, ({ key }, from) => {
    renamed({ where: inFile(from).where, from, to: key });
    const position = dropped.positions.get(from);
    if (position !== undefined) dropped.positions.set(key, position);
  });
  refuseForeignSource(written.source, config.remote.connections);
  // Values that an operator overrides do not count, so that a wrong one can be corrected by `retry --set`.
  const counting = withoutKeys(structuredClone(written), overrides);
  refuseBeyondBounds(check(counting, 'dropper', inFile), config, inFile);
  const table = withOverrides(written, overrides);
  const { kind, warm, vm, source, ...tables } = check(table, 'operator', (key) => ({
    where: `--set ${key}`,
    position: null,
  }));
  const merged = Object.fromEntries(
    Object.entries(config).map(([name, values]) => [
      name,
      { ...values, ...(tables[name] as object | undefined) },
    ]),
  );
  const options = jobOptionsSchema.parse({
    ...(kind === undefined ? {} : { kind }),
    ...(warm === undefined ? {} : { warm }),
    ...(vm === undefined ? {} : { vm }),
    ...(source === undefined
      ? {}
      : { source: resolveSource(jobSourceTable.parse(source), config.remote.connections) }),
    config: configSchema.parse(merged),
  });
  if (options.warm && options.source.type !== 'local') throw remoteWarm(inFile('warm'));
  return options;
}

function remoteWarm({ where, position }: ReturnType<Parameters<typeof problemsOf>[2]>): Error {
  const { line = null, column = null } = position ?? {};
  const message = 'it is for a base that is dropped: with a [source] the VM is fetched as it is';
  const problem = { where, line, column, key: 'warm', kind: 'invalid-value', message } as const;
  return configError('job-options', [{ ...problem, suggestion: null }]);
}

function check(
  table: Record<string, unknown>,
  by: Who,
  locate: Parameters<typeof problemsOf>[2],
): Record<string, unknown> {
  const parsed = perVmSchema(by).safeParse(table);
  if (parsed.success) return parsed.data;
  throw configError('job-options', problemsOf(parsed.error, jobKeys(by), locate).map(explainDaemonOption));
}

/** Rejects values of a job.toml that exceed what a dropper may request. */
function refuseBeyondBounds(
  table: Record<string, unknown>,
  config: Config,
  locate: Parameters<typeof problemsOf>[2],
): void {
  for (const option of perVmOptions('dropper')) {
    const wanted = valueIn(table, option);
    const message = wanted === undefined ? null : beyondBound(option, wanted, config);
    if (message === null) continue;
    const { where, position } = locate(option.key);
    const { line = null, column = null } = position ?? {};
    const problem = { where, line, column, key: option.key, kind: 'invalid-value', message } as const;
    throw configError('job-options', [{ ...problem, suggestion: null }]);
  }
}

function beyondBound({ key, table, name, bound }: OptionRow, wanted: unknown, config: Config): string | null {
  if (bound?.maxKey === undefined) return bound?.refusal?.(wanted) ?? null;
  const [maxTable, maxName] = bound.maxKey.split('.') as [string, string];
  const allowed = valueIn(config, { table: maxTable, name: maxName });
  // A job.toml may always request as much as the daemon itself is configured to use.
  const most = Math.max(Number(allowed), Number(valueIn(config, { table, name })));
  return Number(wanted) <= most
    ? null
    : `a job.toml may request at most ${most}; an operator can raise ${bound.maxKey} or use retry --set ${key}`;
}

function valueIn(
  tables: Record<string, unknown>,
  { table, name }: Pick<OptionRow, 'table' | 'name'>,
): unknown {
  return (tables[table] as Record<string, unknown> | undefined)?.[name];
}

function jobKeys(by: Who): string[] {
  const vm = Object.keys(vmOptionsSchema.shape).map((name) => `vm.${name}`);
  const source = Object.keys(jobSourceTable.shape).map((name) => `source.${name}`);
  return ['kind', 'warm', ...vm, ...source, ...perVmOptions(by).map(({ key }) => key)];
}

/** Explains that a daemon option in a job.toml is not a typing mistake but not allowed there. */
function explainDaemonOption(problem: ConfigProblem): ConfigProblem {
  const option = optionTable().find(({ key, table }) => key === problem.key || table === problem.key);
  if (problem.kind !== 'unknown-key' || option === undefined) return problem;
  const message = option.perJob
    ? 'cannot be set in a job.toml, only by an operator'
    : 'cannot be set for one VM, only for the daemon';
  return { ...problem, message, suggestion: null };
}

function withNewKeys(
  overrides: Readonly<Record<string, string>>,
  renamed: (key: RenamedKey) => void,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(overrides).map(([key, value]) => {
      const option = formerly(key);
      if (option === null) return [key, value];
      renamed({ where: `--set ${key}`, from: key, to: option.key });
      return [option.key, value];
    }),
  );
}

function withoutKeys(
  table: Record<string, unknown>,
  overrides: Readonly<Record<string, string>>,
): Record<string, unknown> {
  for (const key of Object.keys(overrides)) {
    const [name, ...rest] = key.split('.') as [string, ...string[]];
    const inner = table[name];
    if (rest.length === 0) delete table[name];
    else if (typeof inner === 'object' && inner !== null)
      delete (inner as Record<string, unknown>)[rest.join('.')];
  }
  return table;
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
