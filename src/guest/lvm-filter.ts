import { compilePattern, type LvmPattern, matchesPattern } from './lvm-pattern.js';

/** A list of patterns in LVM's configuration: `filter = [ "a|^/dev/sd|", "r|.*|" ]`. */
export interface LvmFilter {
  /** Without their quotes. */
  patterns: string[];
  /** Offsets of the setting, of its first pattern and of the list's end. */
  start: number;
  first: number;
  end: number;
}

/**
 * lvm.conf(5) allows a setting on a line of its section, on the same line as `devices {`, and by its full name
 * (`devices/filter`).
 */
const SETTING = /(?<![\w.])(?:global_)?filter[ \t]*=[ \t]*\[/g;
/** A token of a list, which may span several lines. */
const LIST_TOKEN = /\s+|,|#[^\n]*|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\]/y;

/** Returns the device filters of an LVM configuration, except those that are not lists of strings. */
export function lvmFilters(text: string): LvmFilter[] {
  return [...text.matchAll(SETTING)].flatMap((match) => {
    const start = match.index;
    const before = text.slice(text.lastIndexOf('\n', start) + 1, start);
    if (before.includes('#')) return [];
    const list = readList(text, start + match[0].length);
    return list === null ? [] : [{ start, ...list }];
  });
}

function readList(text: string, start: number): Omit<LvmFilter, 'start'> | null {
  const patterns: string[] = [];
  let first = start;
  LIST_TOKEN.lastIndex = start;
  for (;;) {
    const at = LIST_TOKEN.lastIndex;
    const token = LIST_TOKEN.exec(text)?.[0];
    if (token === undefined) return null;
    if (token === ']') return { patterns, first, end: at + 1 };
    if (!/^["']/.test(token)) continue;
    if (patterns.length === 0) first = at;
    const pattern = token.slice(1, -1);
    patterns.push(token.startsWith('"') ? pattern.replace(/\\(["\\])/g, '$1') : pattern);
  }
}

/**
 * Evaluates the patterns for a device with these names as LVM does (filter-regex.c): the first pattern that
 * matches a name decides for that name, and one accepted name is enough. LVM accepts `none` as well.
 */
export function filterVerdict(
  patterns: readonly string[],
  names: readonly string[],
): 'accepted' | 'rejected' | 'none' {
  const compiled = patterns.slice(0, MAX_PATTERNS).map((pattern) => ({
    accepts: pattern.startsWith('a'),
    expression: expressionOf(pattern),
  }));
  const verdicts = names.map(
    (name) =>
      compiled.find(({ expression }) => expression !== null && matchesPattern(expression, name))?.accepts,
  );
  if (verdicts.includes(true)) return 'accepted';
  return verdicts.includes(false) ? 'rejected' : 'none';
}

/** Returns the patterns that `filterVerdict` leaves out: LVM rejects them as well, or they are too long. */
export const unreadPatterns = (patterns: readonly string[]): string[] =>
  patterns.filter((pattern, index) => index >= MAX_PATTERNS || expressionOf(pattern) === null);

const MAX_PATTERNS = 64;
const MAX_PATTERN = 256;
const CLOSING: Record<string, string> = { '(': ')', '[': ']', '{': '}' };

/**
 * Returns the expression of a pattern, which is between `|` or other delimiters. Null if it is invalid or too
 * long.
 */
function expressionOf(pattern: string): LvmPattern | null {
  const [, open = '', rest = ''] = /^[ar]\s*(\S)(.*)$/.exec(pattern) ?? [];
  const close = CLOSING[open] ?? open;
  if (rest.length > MAX_PATTERN || close === '' || !rest.endsWith(close)) return null;
  return compilePattern(rest.slice(0, -1));
}
