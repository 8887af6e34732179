import { shortLines } from '../text/lines.js';

/** What os-release(5) says of a system; empty where it says nothing. */
export interface OsRelease {
  id: string;
  version: string;
  name: string;
}

/** Reads the text of os-release(5). Pure, for any text. */
export function parseOsRelease(text: string): OsRelease {
  const values = new Map<string, string>();
  for (const line of shortLines(text)) {
    const at = line.indexOf('=');
    const key = line.slice(0, at);
    if (at > 0 && !values.has(key)) values.set(key, unquoted(line.slice(at + 1).trim()));
  }
  const value = (key: string) => values.get(key) ?? '';
  return { id: value('ID'), version: value('VERSION_ID'), name: value('PRETTY_NAME') || value('NAME') };
}

function unquoted(value: string): string {
  const [quote] = value;
  const isQuoted = value.length > 1 && (quote === '"' || quote === "'") && value.endsWith(quote);
  return isQuoted ? value.slice(1, -1) : value;
}
