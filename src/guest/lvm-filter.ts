/** A list of patterns in LVM's configuration: `filter = [ "a|^/dev/sd|", "r|.*|" ]`. */
export interface LvmFilter {
  /** Without their quotes. */
  patterns: string[];
  /** Where the setting begins, the first pattern stands and the list ends. */
  start: number;
  first: number;
  end: number;
}

/**
 * lvm.conf(5): a setting in its section, `devices { filter = …` on one line, or by its full name
 * (`devices/filter`).
 */
const SETTING = /(?<![\w.])(?:global_)?filter[ \t]*=[ \t]*\[/g;
/** A list goes over several lines where it has to. */
const LIST_TOKEN = /\s+|,|#[^\n]*|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|\]/y;

/** Returns the device filters of LVM's configuration; those that are no whole lists of texts are left out. */
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
    patterns.push(token.slice(1, -1));
  }
}

/**
 * What the patterns say of a device with these names, as LVM does (filter-regex.c): of each name the first
 * pattern that matches counts, and one name that is accepted is enough. `none` is accepted too.
 */
export function filterVerdict(
  patterns: readonly string[],
  names: readonly string[],
): 'accepted' | 'rejected' | 'none' {
  const compiled = patterns.slice(0, MAX_PATTERNS).map((pattern) => ({
    accepts: pattern.startsWith('a'),
    expression: expressionOf(pattern),
  }));
  const verdicts = names.map((name) => compiled.find(({ expression }) => expression?.test(name))?.accepts);
  if (verdicts.includes(true)) return 'accepted';
  return verdicts.includes(false) ? 'rejected' : 'none';
}

const MAX_PATTERNS = 64;
const MAX_PATTERN = 256;
/** Each more multiplies the work on a name that does not match. */
const MAX_REPEATS = 4;
const CLOSING: Record<string, string> = { '(': ')', '[': ']', '{': '}' };

/**
 * A pattern's expression: between `|` or any other pair of delimiters. Null where it is none, or one that only a
 * hostile guest would have.
 */
function expressionOf(pattern: string): RegExp | null {
  const [, open = '', rest = ''] = /^[ar]\s*(\S)(.*)$/.exec(pattern) ?? [];
  const close = CLOSING[open] ?? open;
  if (rest.length > MAX_PATTERN || close === '' || !rest.endsWith(close)) return null;
  // LVM knows no counted repeats; a brace is itself.
  const source = rest.slice(0, -1).replace(/[{}]/g, '\\$&');
  const isNested = /\)[*+?]/.test(source);
  if (isNested || source.replace(/[^*+?]/g, '').length > MAX_REPEATS) return null;
  try {
    return new RegExp(source);
  } catch {
    // LVM refuses it too.
    return null;
  }
}
