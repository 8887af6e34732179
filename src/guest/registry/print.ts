import type { RegistryKey } from './hive.js';
import { REG, type RegistryValue, textOf, textsOf } from './value.js';

/** Bytes of data that a line shows; the rest is a count. */
const MAX_LINE_DATA = 4096;

/**
 * A value's line as in a file of regedit: `"Start"=dword:00000000`. Texts of other types than REG_SZ are
 * readable, too: `"ImagePath"=expand_sz:"system32\\drivers\\viostor.sys"`, `"UpperFilters"=multi_sz:"a","b"`.
 * What is not exactly such a text is in hexadecimal, with the type's number.
 */
export function valueLine(value: RegistryValue): string {
  const name = value.name === '' ? '@' : quote(value.name);
  return `${name}=${dataText(value)}`;
}

/** A key's line: `[path]`. */
export function keyLine(path: string): string {
  return `[${withoutControls(path)}]`;
}

function dataText(value: RegistryValue): string {
  const { type, data } = value;
  if (type === REG.dword && data.length === 4) return `dword:${hex(data.readUInt32LE(0), 8)}`;
  if (type === REG.qword && data.length === 8) return `qword:${hex(data.readBigUInt64LE(0), 16)}`;
  if (data.length <= MAX_LINE_DATA) {
    const text = textOf(value);
    if (text !== null && type !== REG.link && data.equals(encode([text])))
      return type === REG.sz ? quote(text) : `expand_sz:${quote(text)}`;
    const texts = type === REG.multiSz ? textsOf(value) : null;
    if (texts !== null && data.equals(encode([...texts, ''])))
      return `multi_sz:${texts.map(quote).join(',')}`;
  }
  const shown = data.subarray(0, MAX_LINE_DATA);
  const bytes = [...shown].map((byte) => hex(byte, 2)).join(',');
  const more = data.length - shown.length;
  const kind = type === REG.binary ? 'hex' : `hex(${type.toString(16)})`;
  return `${kind}:${bytes}${more > 0 ? `… (${more} bytes more)` : ''}`;
}

/**
 * The key and all below it, as regedit writes them: `[path]`, its values, an empty line. Ends with a line of
 * `…` where that would be more than `maxLines` lines.
 */
export function printKey(key: RegistryKey, path: string, maxLines = 100_000): string {
  const lines: string[] = [];
  const isFull = !addKey(key, path, lines, maxLines, 0);
  return `${[...lines, ...(isFull ? ['…'] : [])].join('\n')}\n`;
}

/** No deeper than Windows takes keys. */
const MAX_DEPTH = 512;

function addKey(key: RegistryKey, path: string, lines: string[], maxLines: number, depth: number): boolean {
  if (depth > MAX_DEPTH) return false;
  lines.push(keyLine(path));
  for (const value of key.values()) {
    if (lines.length >= maxLines) return false;
    lines.push(valueLine(value));
  }
  lines.push('');
  for (const child of key.subkeys()) {
    if (lines.length >= maxLines) return false;
    if (!addKey(child, `${path}\\${child.name}`, lines, maxLines, depth + 1)) return false;
  }
  return true;
}

const encode = (texts: readonly string[]): Buffer => Buffer.from(`${texts.join('\0')}\0`, 'utf16le');
const hex = (value: number | bigint, digits: number): string => value.toString(16).padStart(digits, '0');
const quote = (text: string): string =>
  `"${withoutControls(text.replaceAll('\\', '\\\\').replaceAll('"', '\\"'))}"`;

/** A line stays one: `\x0a` cannot be mistaken for the name's own backslash, which is doubled. */
const withoutControls = (text: string): string =>
  text.replaceAll(/[\0-\x1f\x7f]/g, (character) => `\\x${hex(character.charCodeAt(0), 2)}`);
