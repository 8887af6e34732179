/**
 * The characters that no text from a guest, a drop or a tool may bring into a terminal, a log, a page or a
 * diff: C0 and C1 controls, DEL, bidirectional marks and overrides, invisible characters, line separators,
 * the byte order mark, halves of surrogate pairs. All escapers, of which there is one for each kind of
 * output, use this set.
 */
export const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

const SHORT: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Shows an unsafe character as `\n`, `\x1b` or `\u202e`. */
export function visible(character: string): string {
  const short = SHORT[character];
  if (short !== undefined) return short;
  const code = character.charCodeAt(0);
  return code < 0x100
    ? `\\x${code.toString(16).padStart(2, '0')}`
    : `\\u${code.toString(16).padStart(4, '0')}`;
}
