import { isCollection, isPair, type ParsedNode } from 'yaml';
import type { YamlEntry } from './yaml.js';

/**
 * Replaces the text from `start` up to `end`. All other bytes stay: comments, quotes, order, line endings.
 */
export interface Edit {
  start: number;
  end: number;
  text: string;
}

/** Applies the edits, each once: through aliases the same edit is found several times. */
export function applyEdits(text: string, edits: readonly Edit[]): string {
  let result = text;
  let done = Number.POSITIVE_INFINITY;
  for (const { start, end, text: replacement } of edits.toSorted((a, b) => b.start - a.start)) {
    if (end > done) continue;
    result = result.slice(0, start) + replacement + result.slice(end);
    done = start;
  }
  return result;
}

/**
 * Returns the edit that sets a key to `value`, a scalar in YAML syntax. What follows the old value on its
 * line stays.
 */
export function setValue(text: string, { pair }: YamlEntry, value: string): Edit {
  const [, keyEnd] = pair.key.range;
  const end = endOf(text, pair);
  const start = pair.value?.range[0] ?? keyEnd;
  // A block sequence begins on a separate line, whose indent may be too small for a scalar.
  const isBelow = pair.value === null || text.slice(keyEnd, start).includes('\n');
  return isBelow ? { start: keyEnd, end, text: `: ${value}` } : { start, end, text: value };
}

/** A whole entry that replaces another (`dhcp4: true`), or null to remove it. */
export interface Change {
  entry: YamlEntry;
  replacement: string | null;
}

/**
 * Returns the edits that replace or remove entries; each mapping must keep at least one. Null if an entry
 * shares its lines with something else that would have to be taken apart.
 */
export function replaceEntries(text: string, changes: readonly Change[]): Edit[] | null {
  const taken = new Set(
    changes.flatMap((change) => (change.replacement === null ? [change.entry.pair] : [])),
  );
  const edits: Edit[] = [];
  for (const { entry, replacement } of changes) {
    const edit =
      entry.mapping.flow === true
        ? replaceInFlow(text, entry, replacement, taken)
        : replaceInBlock(text, entry, replacement);
    if (edit === null) return null;
    edits.push(edit);
  }
  return edits;
}

function replaceInBlock(text: string, { pair }: YamlEntry, replacement: string | null): Edit | null {
  const [key] = pair.key.range;
  const line = text.lastIndexOf('\n', key - 1) + 1;
  const indent = text.slice(line, key);
  const rest = /^[ \t]*(#.*)?\r?(\n|$)/.exec(text.slice(endOf(text, pair)));
  if (!/^ *$/.test(indent) || rest === null) return null;
  const end = endOf(text, pair) + rest[0].length;
  if (replacement !== null) return { start: key, end: end - rest[0].length, text: replacement };
  return { start: line, end: end + commentsBelow(text.slice(end), indent.length), text: '' };
}

/**
 * Returns the length of the comments that are indented deeper than the entry before them, and so belong to
 * it.
 */
function commentsBelow(text: string, indent: number): number {
  return new RegExp(`^( {${indent + 1},}#.*(\\n|$))+`).exec(text)?.[0].length ?? 0;
}

function replaceInFlow(
  text: string,
  { pair, mapping }: YamlEntry,
  replacement: string | null,
  taken: ReadonlySet<YamlEntry['pair']>,
): Edit | null {
  const [start] = pair.key.range;
  if (replacement !== null) return { start, end: endOf(text, pair), text: replacement };
  const lastKept = mapping.items.findLastIndex((item) => !taken.has(item));
  const [kept, last, at] = [mapping.items[lastKept], mapping.items.at(-1), mapping.items.indexOf(pair)];
  if (kept === undefined || last === undefined) return null;
  // Entries at the end are removed together, with the comma before them.
  if (at > lastKept) return { start: endOf(text, kept), end: endOf(text, last), text: '' };
  return { start, end: mapping.items[at + 1]?.key.range[0] ?? endOf(text, pair), text: '' };
}

/** Returns the offset at which an entry's value ends, without comments and line endings. */
function endOf(text: string, { key, value }: YamlEntry['pair']): number {
  let last: ParsedNode = value ?? key;
  while (isCollection(last) && last.flow !== true) {
    const item = last.items.at(-1);
    const next = isPair(item) ? (item.value ?? item.key) : item;
    if (next === undefined) break;
    last = next;
  }
  const [start, end] = last.range;
  return start + text.slice(start, end).trimEnd().length;
}
