import { badInf } from './errors.js';
import { type InfLine, parseLine } from './line.js';
import { infText } from './text.js';

/** The sections of an INF file, with its strings put in. Names compare without case. */
export interface InfSections {
  /** Names of all sections, in lower case. */
  names: ReadonlySet<string>;
  /** Lines of the section, of all of that name; null where there is none. */
  lines(section: string): InfLine[] | null;
  /** Fields of the first line with that key; null where there is none. */
  fields(section: string, key: string): string[] | null;
}

const MAX_LINES = 200_000;
/** Of all sections together, as often as they are asked for: many sections may name the same one. */
const MAX_GIVEN_LINES = 300_000;
/** Of one field, once its strings are put in. */
const MAX_FIELD = 64 * 1024;
/** Of one field's tokens: a short line could name a long string often. */
const MAX_TOKENS = 256;

/** Throws `guest.inf-invalid` for what is no INF (no `[Version]`), or larger than any. */
export function parseInf(bytes: Buffer): InfSections {
  const raw = readSections(infText(bytes));
  if (!raw.has('version')) throw badInf('it has no section [Version]');
  const strings = readStrings(raw);
  const sections = new Map<string, Section>();
  let given = 0;
  const section = (name: string): Section | null => {
    const lower = name.toLowerCase();
    const known = sections.get(lower);
    const lines = known === undefined ? raw.get(lower) : undefined;
    if (lines === undefined) return known ?? null;
    const expanded = expandSection(lines, strings);
    sections.set(lower, expanded);
    return expanded;
  };
  const lines = (name: string): InfLine[] | null => {
    const found = section(name);
    given += found?.lines.length ?? 0;
    if (given > MAX_GIVEN_LINES) throw badInf('its sections name each other too often');
    return found?.lines ?? null;
  };
  return {
    names: new Set(raw.keys()),
    lines,
    fields: (name, key) => section(name)?.byKey.get(key.toLowerCase()) ?? null,
  };
}

interface Section {
  lines: InfLine[];
  /** Fields of the first line of each key, in lower case. */
  byKey: Map<string, string[]>;
}

function expandSection(raw: readonly InfLine[], strings: ReadonlyMap<string, string>): Section {
  const lines = raw.map(({ key, fields }) => ({
    key: key === null ? null : expand(key, strings),
    fields: fields.map((field) => expand(field, strings)),
  }));
  const byKey = new Map<string, string[]>();
  for (const { key, fields } of lines)
    if (key !== null && !byKey.has(key.toLowerCase())) byKey.set(key.toLowerCase(), fields);
  return { lines, byKey };
}

function readSections(text: string): Map<string, InfLine[]> {
  const sections = new Map<string, InfLine[]>();
  let current: InfLine[] | null = null;
  for (const line of joinedLines(text)) {
    const name = sectionName(line);
    if (name !== null) {
      current = sections.get(name) ?? [];
      sections.set(name, current);
      continue;
    }
    const parsed = current === null ? null : parseLine(line);
    if (parsed !== null) current?.push(parsed);
  }
  return sections;
}

/** Lines; one that ends in a backslash, before a comment or not, goes on in the next. */
function* joinedLines(text: string): Generator<string> {
  const lines = text.split(/\r\n|\r|\n/);
  if (lines.length > MAX_LINES) throw badInf('it has more lines than any INF');
  let pending: string[] = [];
  for (const line of lines) {
    const code = withoutComment(line).trimEnd();
    const goesOn = code.endsWith('\\') && !code.startsWith('[');
    pending.push(goesOn ? code.slice(0, -1) : code);
    if (goesOn) continue;
    yield pending.join('');
    pending = [];
  }
  if (pending.length > 0) yield pending.join('');
}

function withoutComment(line: string): string {
  let isQuoted = false;
  for (let index = 0; index < line.length; index += 1) {
    const character = line.charAt(index);
    if (character === '"') isQuoted = !isQuoted;
    if (character === ';' && !isQuoted) return line.slice(0, index);
  }
  return line;
}

function sectionName(line: string): string | null {
  const text = line.trim();
  if (!text.startsWith('[')) return null;
  const end = text.indexOf(']');
  return end === -1 ? null : text.slice(1, end).trim().replace(/^"|"$/g, '').toLowerCase();
}

/** `[Strings]`, which an English one (`[Strings.0409]`, `[Strings.0009]`) goes before. */
function readStrings(sections: ReadonlyMap<string, InfLine[]>): Map<string, string> {
  const strings = new Map<string, string>();
  for (const name of ['strings', 'strings.0009', 'strings.0409'])
    for (const { key, fields } of sections.get(name) ?? [])
      if (key !== null) strings.set(key.replace(/^%|%$/g, '').toLowerCase(), fields.join(','));
  return strings;
}

/** Puts in `%name%`. `%%` is one percent sign; a name that there is no string for stays (`%12%`). */
function expand(text: string, strings: ReadonlyMap<string, string>): string {
  if (!text.includes('%')) return text;
  const pieces = text.split('%');
  if (pieces.length > MAX_TOKENS) throw badInf('one of its lines has too many strings');
  let result = pieces[0] as string;
  let index = 1;
  while (index < pieces.length) {
    const [name, after] = [pieces[index] as string, pieces[index + 1]];
    if (after === undefined) {
      result += `%${name}`;
      break;
    }
    result += name === '' ? '%' : (strings.get(name.toLowerCase()) ?? `%${name}%`);
    result += after;
    if (result.length > MAX_FIELD) throw badInf('one of its lines is too long');
    index += 2;
  }
  return result;
}
