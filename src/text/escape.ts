/**
 * Names and texts that come from guests, drops and tools are data: nothing in them may move a terminal's cursor, hide a part of a name or
 * become markup. Both functions show such characters as `\x1b` or `\u202e`.
 */

/** C0 and C1 controls, DEL, bidirectional marks and overrides, line separators, byte order mark, halves of surrogate pairs. */
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const SHORT: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };
const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function visible(character: string): string {
  const short = SHORT[character];
  if (short !== undefined) return short;
  const code = character.charCodeAt(0);
  return code < 0x100
    ? `\\x${code.toString(16).padStart(2, '0')}`
    : `\\u${code.toString(16).padStart(4, '0')}`;
}

/** One line of text for a terminal or a log: no character of it is a control character. */
export function terminalText(text: string): string {
  return text.replace(UNSAFE, visible);
}

/** Like terminalText, but tabs stay: for lines of files, where they are layout. */
export function terminalLine(text: string): string {
  return text.split('\t').map(terminalText).join('\t');
}

/** Text or attribute value for HTML and XML 1.0 (which has no way to write most controls): newlines and tabs stay. */
export function markupText(text: string): string {
  return text
    .replace(UNSAFE, (character) =>
      character === '\n' || character === '\t' ? character : visible(character),
    )
    .replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}
