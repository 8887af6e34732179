import { parse as parseToml, TomlError, type TomlTable } from 'smol-toml';
import type { z } from 'zod';
import { Hyper2kvmError } from '../errors.js';
import { nearest } from './options.js';
import { type TomlPosition, tomlPositions } from './toml-position.js';

/** One thing that is wrong with a configuration. `where` is the file with line and column, the variable or the flag. */
export interface ConfigProblem {
  where: string;
  line: number | null;
  column: number | null;
  /** Dotted; empty when the text is not TOML. */
  key: string;
  kind: 'syntax' | 'unknown-key' | 'invalid-value';
  message: string;
  /** The nearest known key. */
  suggestion: string | null;
}

/** A TOML text as a plain table, with the positions of its keys; throws nothing, a syntax error is a problem. */
export function readToml(
  text: string,
  file: string,
): { table: TomlTable; positions: Map<string, TomlPosition>; problem: ConfigProblem | null } {
  try {
    return { table: parseToml(text), positions: tomlPositions(text), problem: null };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const { line, column } = error;
    const problem = {
      where: `${file}:${line}:${column}`,
      line,
      column,
      key: '',
      kind: 'syntax',
      message: error.message.split('\n')[0] ?? 'not TOML',
      suggestion: null,
    } satisfies ConfigProblem;
    return { table: {}, positions: new Map(), problem };
  }
}

/**
 * zod's issues as problems. `locate` says where a dotted key was written, `knownKeys` lists all full keys for the suggestions.
 */
export function problemsOf(
  error: z.ZodError,
  knownKeys: readonly string[],
  locate: (key: string) => { where: string; position: TomlPosition | null },
): ConfigProblem[] {
  return error.issues.flatMap((issue): ConfigProblem[] => {
    const path = issue.path.map(String);
    if (issue.code !== 'unrecognized_keys') {
      return [problem(path.join('.'), 'invalid-value', issue.message, null, locate)];
    }
    return issue.keys.map((name) => {
      const key = [...path, name].join('.');
      const suggestion = nearestKey(key, knownKeys);
      return problem(key, 'unknown-key', 'is not an option', suggestion, locate);
    });
  });
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

/** A key of the same table first: `watch.settle` means one of `watch`; then a whole table, then any key. */
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
  // The right name under the wrong table.
  const name = key.slice(table.length);
  return knownKeys.find((known) => known.endsWith(`.${name}`)) ?? nearest(key, knownKeys);
}

/** One line for people: `/etc/hyper2kvm/config.toml:3:1: watch.setle_seconds is not an option; did you mean watch.settle_seconds?` */
export function problemText(found: ConfigProblem): string {
  const subject = found.key === '' ? '' : `${found.key} `;
  const verb = found.kind === 'invalid-value' ? 'is not valid: ' : '';
  const hint = found.suggestion === null ? '' : `; did you mean ${found.suggestion}?`;
  return `${found.where}: ${subject}${verb}${found.message}${hint}`;
}

/** The error for a list of problems (at least one): `<part>.syntax`, `<part>.unknown-key` or `<part>.invalid-value`, after the first. */
export function configError(
  part: 'config' | 'job-options',
  problems: readonly ConfigProblem[],
): Hyper2kvmError {
  const [first] = problems;
  const kind = first?.kind ?? 'invalid-value';
  return new Hyper2kvmError(`${part}.${kind}`, problems.map(problemText).join('\n'), {
    advice:
      part === 'config'
        ? '`hyper2kvm config schema` lists every option, `hyper2kvm config check` checks a file.'
        : 'A job.toml takes the per-VM options of docs/configuration.md, `kind` and the table [vm].',
  });
}
