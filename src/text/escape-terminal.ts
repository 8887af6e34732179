import { UNSAFE, visible } from './unsafe.js';

/**
 * Returns a text as one line for a terminal, a log or a message: nothing in it moves the cursor or hides a
 * part.
 */
export function terminalText(text: string): string {
  return text.replace(UNSAFE, visible);
}

/** Returns a line of a file for a terminal; tabs stay, as they are layout. */
export function terminalLine(text: string): string {
  return text.split('\t').map(terminalText).join('\t');
}

/** Returns a name for a message: like `terminalText`, but no longer than `limit`. */
export function printable(text: string, limit = 200): string {
  const escaped = terminalText(text);
  // Never ends with half a surrogate pair.
  return escaped.length > limit ? `${escaped.slice(0, limit).replace(/[\ud800-\udbff]$/, '')}…` : escaped;
}
