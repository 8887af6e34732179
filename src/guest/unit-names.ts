/** Longest name of a file; systemd's names are never longer. */
const MAX_NAME = 255;

/**
 * Returns a path as a part of a unit's name, as systemd-escape(1) `--path` does: `/dev/disk/by-uuid/x` is
 * `dev-disk-by\x2duuid-x`.
 */
export function escapePath(path: string): string {
  const bytes = Buffer.from(path.replace(/^\/+|\/+$/g, ''), 'utf8');
  return [...bytes]
    .map((byte, index) => {
      const letter = String.fromCharCode(byte);
      if (letter === '/') return '-';
      const isPlain = /[A-Za-z0-9:_.]/.test(letter) && !(index === 0 && letter === '.');
      return isPlain ? letter : `\\x${byte.toString(16).padStart(2, '0')}`;
    })
    .join('');
}

/** Returns the path that the name of a `.device`, `.swap` or `.mount` stands for, null for other names. */
export function pathOfUnit(unit: string): string | null {
  if (unit.length > MAX_NAME) return null;
  const name = /^(.+)\.(?:device|swap|mount|automount)$/.exec(unit)?.[1];
  if (name === undefined) return null;
  if (name === '-') return '/';
  const bytes = name
    .replaceAll('-', '/')
    .replace(/\\x([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return `/${Buffer.from(bytes, 'latin1').toString('utf8')}`;
}
