import { readFileSync } from 'node:fs';
import { isErrorCode } from '../errors/errno.js';
import { Hyper2kvmError } from '../errors/error.js';
import { type ConfigProblem, configError, problemsOf, readToml } from './check.js';
import { fromText, nearest, type OptionRow, optionTable } from './option-table.js';
import { formerly, formerlyVariable, moveFormerKeys, type RenamedKey } from './renamed.js';
import { type Config, configSchema } from './schema.js';
import { nearestPlace, type TomlPosition } from './toml-position.js';

export { jobOptions } from './job-options.js';
export { configJsonSchema, optionTable } from './option-table.js';

export const DEFAULT_CONFIG_FILE = '/etc/hyper2kvm/config.toml';

/**
 * Where a value came from. `where`: `/etc/hyper2kvm/config.toml:12:1`, `HYPER2KVM_WORKERS_JOBS`, `--set
 * workers.jobs`; empty for defaults.
 */
export interface Origin {
  source: 'default' | 'file' | 'environment' | 'flag';
  where: string;
}

export interface LoadedConfig {
  config: Config;
  /** By dotted key, for every option. */
  origins: Record<string, Origin>;
  /** The file that was read; null if none was given and the default does not exist. */
  file: string | null;
  /** Keys that are written under an old name. */
  renamed: RenamedKey[];
}

export interface ConfigSources {
  /** Must exist if given; otherwise `/etc/hyper2kvm/config.toml` is read if it exists. */
  file?: string | undefined;
  env: Readonly<Record<string, string | undefined>>;
  /** Dotted key to value; strings are parsed as the option's type. */
  flags?: Readonly<Record<string, unknown>>;
}

/**
 * Loads defaults, then the TOML file, then `HYPER2KVM_<TABLE>_<KEY>` variables, then flags. Throws
 * `config.missing`, `config.unreadable`, `config.syntax`, `config.unknown-key`, `config.invalid-value`; the
 * message has one line for each problem, with its location.
 */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const file = readConfigFile(sources.file);
  const { loaded, problems, renamed } = layer(file, sources);
  if (loaded === null) throw configError('config', problems);
  return { ...loaded, renamed, file: file?.name ?? null };
}

/**
 * Like `loadConfig` for the text of one file, but returns all problems instead of throwing; none if the file
 * is valid.
 */
export function checkConfig(text: string, file: string): Pick<Layered, 'problems' | 'renamed'> {
  return layer({ name: file, text }, { env: {} });
}

function readConfigFile(wanted: string | undefined): { name: string; text: string } | null {
  const name = wanted ?? DEFAULT_CONFIG_FILE;
  try {
    return { name, text: readFileSync(name, 'utf8') };
  } catch (cause) {
    const missing = isErrorCode(cause, 'ENOENT');
    if (missing && wanted === undefined) return null;
    throw new Hyper2kvmError(
      missing ? 'config.missing' : 'config.unreadable',
      missing ? `${name} does not exist` : `${name} cannot be read`,
      { cause },
    );
  }
}

interface Layered {
  loaded: Pick<LoadedConfig, 'config' | 'origins'> | null;
  problems: ConfigProblem[];
  renamed: RenamedKey[];
}

function layer(file: { name: string; text: string } | null, sources: ConfigSources): Layered {
  const options = optionTable();
  const keys = options.map((option) => option.key);
  const places = new Map<string, { origin: Origin; position: TomlPosition | null }>();
  const problems: ConfigProblem[] = [];
  const renamed: RenamedKey[] = [];
  let tables: Record<string, unknown> = {};

  if (file !== null) {
    const read = readToml(file.text, file.name);
    if (read.problem !== null) return { loaded: null, problems: [read.problem], renamed };
    tables = structuredClone(read.table) as Record<string, unknown>;
    for (const [key, position] of read.positions) {
      const where = `${file.name}:${position.line}:${position.column}`;
      places.set(key, { origin: { source: 'file', where }, position });
    }
    moveFormerKeys(tables, ({ key }, from) => {
      const place = places.get(from) ?? { origin: { source: 'file', where: file.name }, position: null };
      renamed.push({ where: place.origin.where, from, to: key });
      places.set(key, place);
    });
  }
  const set = (option: OptionRow, value: unknown, origin: Origin) => {
    const table = tables[option.table];
    tables[option.table] = { ...(isTable(table) ? table : {}), [option.name]: value };
    // A list from the file is overridden as a whole.
    for (const key of [...places.keys()]) if (key.startsWith(`${option.key}.`)) places.delete(key);
    places.set(option.key, { origin, position: null });
  };
  for (const [variable, text] of Object.entries(sources.env)) {
    if (text === undefined) continue;
    const old = formerlyVariable(variable);
    const option = old ?? options.find((candidate) => candidate.variable === variable);
    const origin = { source: 'environment', where: variable } as const;
    if (old !== null) renamed.push({ where: variable, from: variable, to: old.variable });
    if (option !== undefined) set(option, fromText(option, text), origin);
    else if (isMistypedVariable(variable, options)) problems.push(unknownVariable(variable, options));
  }
  for (const [key, value] of Object.entries(sources.flags ?? {})) {
    const old = formerly(key);
    const option = old ?? options.find((candidate) => candidate.key === key);
    if (old !== null) renamed.push({ where: `--set ${key}`, from: key, to: old.key });
    if (option === undefined) {
      problems.push(unknown(`--set ${key}`, key, nearest(key, keys)));
      continue;
    }
    const given = typeof value === 'string' ? fromText(option, value) : value;
    set(option, given, { source: 'flag', where: `--set ${option.key}` });
  }

  const parsed = configSchema.safeParse(tables);
  if (!parsed.success) {
    problems.push(
      ...problemsOf(parsed.error, keys, (key) => {
        const place = nearestPlace(places, key);
        return { where: place?.origin.where ?? file?.name ?? 'defaults', position: place?.position ?? null };
      }),
    );
  }
  if (!parsed.success || problems.length > 0) return { loaded: null, problems, renamed };
  const fallback: Origin = { source: 'default', where: '' };
  return {
    loaded: {
      config: parsed.data,
      origins: Object.fromEntries(keys.map((key) => [key, places.get(key)?.origin ?? fallback])),
    },
    problems,
    renamed,
  };
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Only names under one of our tables: HYPER2KVM_TEST_CACHE and the like are not ours. */
function isMistypedVariable(variable: string, options: readonly OptionRow[]): boolean {
  return options.some((option) => variable.startsWith(`HYPER2KVM_${option.table.toUpperCase()}_`));
}

function unknownVariable(variable: string, options: readonly OptionRow[]): ConfigProblem {
  const suggestion = nearest(
    variable,
    options.map((option) => option.variable),
  );
  return unknown(variable, '', suggestion);
}

function unknown(where: string, key: string, suggestion: string | null): ConfigProblem {
  return {
    where,
    line: null,
    column: null,
    key,
    kind: 'unknown-key',
    message: 'is not an option',
    suggestion,
  };
}
