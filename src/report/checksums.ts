/**
 * Returns a line of a SHA256SUMS file as GNU coreutils writes and checks it: a name with a newline, a
 * carriage return or a backslash is escaped, which a leading backslash indicates.
 */
export function checksumLine(sha256: string, path: Buffer): Buffer {
  const escaped = path
    .toString('latin1')
    .replace(/[\\\n\r]/g, (c) => (c === '\\' ? '\\\\' : c === '\n' ? '\\n' : '\\r'));
  const mark = escaped.length === path.length ? '' : '\\';
  return Buffer.from(`${mark}${sha256}  ${escaped}\n`, 'latin1');
}
