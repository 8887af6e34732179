/**
 * Undoes the escapes of blkid(8)'s export format: a backslash before characters that are special to a shell,
 * and `\xNN` for bytes that are not printable.
 */
export function unescapeTag(value: string): string {
  return value.replace(/(?:\\x[0-9a-fA-F]{2})+|\\(.)/gs, (escapes, letter: string | undefined) =>
    letter === undefined ? Buffer.from(escapes.replaceAll('\\x', ''), 'hex').toString('utf8') : letter,
  );
}
