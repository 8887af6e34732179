import { parse as parseToml, TomlError, type TomlTable } from 'smol-toml';
import type { z } from 'zod';
import { Hyper2kvmError } from '../errors/error.js';
import { printable } from '../text/escape-terminal.js';
import { nearest } from './option-table.js';
import { type TomlPosition, tomlPositions } from './toml-position.js';

/** A problem in a configuration. `where` is the file with line and column, the variable or the flag. */
export interface ConfigProblem {
  where: string;
  line: number | null;
  column: number | null;
  /** Dotted; empty if the text is not TOML. */
  key: string;
  kind: 'syntax' | 'unknown-key' | 'invalid-value';
  message: string;
  /** The nearest known key. */
  suggestion: string | null;
}

/**
 * Only this many problems are reported at once. Looking for a similar name among all options takes a
 * millisecond each.
 */
const MAX_PROBLEMS = 20;
/**
 * No option is deeper than four tables. The functions that walk a table are recursive, and the stack
 * overflows at some thousand levels.
 */
const MAX_TABLE_DEPTH = 8;

/**
 * Parses TOML text into a plain table with the positions of its keys. Does not throw: a syntax error is a
 * problem.
 */
export function readToml(
  text: string,
  file: string,
): { table: TomlTable; positions: Map<string, TomlPosition>; problem: ConfigProblem | null } {
  const broken = (where: string, message: string, line: number | null, column: number | null) => {
    const problem = { where, line, column, key: '', kind: 'syntax', message, suggestion: null } as const;
    return { table: {}, positions: new Map<string, TomlPosition>(), problem };
  };
  try {
    const table = parseToml(text);
    if (isTooDeep(table))
      return broken(file, `tables are nested more than ${MAX_TABLE_DEPTH} deep`, null, null);
    return { table, positions: tomlPositions(text), problem: null };
  } catch (error) {
    // Text with nothing but brackets overflows the parser's stack.
    if (error instanceof RangeError) return broken(file, 'values are nested too deep', null, null);
    if (!(error instanceof TomlError)) throw error;
    const { line, column } = error;
    return broken(`${file}:${line}:${column}`, error.message.split('\n')[0] ?? 'not TOML', line, column);
  }
}

function isTooDeep(table: TomlTable): boolean {
  let level: unknown[] = [table];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > MAX_TABLE_DEPTH) return true;
    level = level.flatMap((value) =>
      typeof value === 'object' && value !== null && !(value instanceof Date) ? Object.values(value) : [],
    );
  }
  return false;
}

/**
 * Converts zod's issues into problems, the first 20 of them. `locate` returns where a dotted key was written,
 * `knownKeys` lists all full keys for the suggestions.
 */
export function problemsOf(
  error: z.ZodError,
  knownKeys: readonly string[],
  locate: (key: string) => { where: string; position: TomlPosition | null },
): ConfigProblem[] {
  const found = error.issues.flatMap((issue): { key: string; message: string | null }[] => {
    const path = issue.path.map(String);
    if (issue.code !== 'unrecognized_keys') return [{ key: path.join('.'), message: issue.message }];
    return issue.keys.map((name) => ({ key: [...path, name].join('.'), message: null }));
  });
  return found
    .slice(0, MAX_PROBLEMS)
    .map(({ key, message }) =>
      message === null
        ? unknownKey(key, knownKeys, locate)
        : problem(key, 'invalid-value', message, null, locate),
    );
}

/** Tables that belong elsewhere. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  source: 'says where one VM is fetched from: it belongs into a job.toml',
};

function unknownKey(
  key: string,
  knownKeys: readonly string[],
  locate: Parameters<typeof problem>[4],
): ConfigProblem {
  const elsewhere = ELSEWHERE[key];
  return elsewhere === undefined
    ? problem(key, 'unknown-key', 'is not an option', nearestKey(key, knownKeys), locate)
    : problem(key, 'unknown-key', elsewhere, null, locate);
}

function problem(
  key: string,
  kind: ConfigProblem['kind'],
  message: string,
  suggestion: string | null,
  locate: (key: string) => { where: string; position: TomlPosition | null },
): ConfigProblem {
  const { where, position } = locate(key);
  return {
    where,
    line: position?.line ?? null,
    column: position?.column ?? null,
    key,
    kind,
    message,
    suggestion,
  };
}

/**
 * Returns the nearest known key. Keys of the same table come first (`watch.settle` means one of `watch`),
 * then a whole table, then any key.
 */
function nearestKey(key: string, knownKeys: readonly string[]): string | null {
  const depth = key.split('.').length;
  const table = key.slice(0, key.lastIndexOf('.') + 1);
  const siblings = knownKeys.filter((known) => known.startsWith(table) && known.split('.').length === depth);
  const tables = depth === 1 ? [...new Set(knownKeys.map((known) => known.split('.')[0]!))] : [];
  const inTable = nearest(key.slice(table.length), [
    ...siblings.map((known) => known.slice(table.length)),
    ...tables,
  ]);
  if (inTable !== null) return table + inTable;
  // The right name in the wrong table.
  const name = key.slice(table.length);
  return knownKeys.find((known) => known.endsWith(`.${name}`)) ?? nearest(key, knownKeys);
}

/**
 * Returns one line for people: `/etc/hyper2kvm/config.toml:3:1: watch.setle_seconds is not an option; did you
 * mean watch.settle_seconds?`
 */
export function problemText(found: ConfigProblem): string {
  const subject = found.key === '' ? '' : `${printable(found.key)} `;
  const verb = found.kind === 'invalid-value' ? 'is not valid: ' : '';
  const hint = found.suggestion === null ? '' : `; did you mean ${found.suggestion}?`;
  return `${found.where}: ${subject}${verb}${found.message}${hint}`;
}

/**
 * Returns the error for a list of problems (at least one): `<part>.syntax`, `<part>.unknown-key` or
 * `<part>.invalid-value`, by the first.
 */
export function configError(
  part: 'config' | 'job-options',
  problems: readonly ConfigProblem[],
): Hyper2kvmError {
  const [first] = problems;
  const kind = first?.kind ?? 'invalid-value';
  return new Hyper2kvmError(`${part}.${kind}`, problems.map(problemText).join('\n'));
}
