/** The longest file name, and so the longest name of a unit. */
const MAX_NAME = 255;

/**
 * Escapes a path for the name of a unit, as systemd-escape(1) `--path` does: `/dev/disk/by-uuid/x` becomes
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

/** Returns the path in the name of a device, swap or mount unit, or null for another name. */
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
