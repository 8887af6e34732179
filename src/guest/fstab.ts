import { posix } from 'node:path';
import { shortLines } from '../text/lines.js';

/** One entry of /etc/fstab (fstab(5)), with the places of its columns for those who edit it. */
export interface FstabLine {
  /** The line's number, from 0. */
  index: number;
  /** The whole line as it is. */
  text: string;
  /** Without escapes, as are the next two; empty where the line ends before. */
  spec: string;
  /** A path is normalised: `/boot/` and `//boot` are `/boot`. */
  mountpoint: string;
  type: string;
  /** Empty where there is no such column. */
  options: string[];
  /** Where the columns stand in the line, at most these four. */
  columns: { start: number; end: number }[];
}

const COLUMNS = 4;
/** Each line is looked for among all filesystems. A real fstab has some dozen. */
const MAX_LINES = 5_000;

/**
 * Returns the entries of an fstab: what is blank, a comment or longer than any real line is
 * left out, and what follows the first 5,000 lines.
 */
export function parseFstab(text: string): FstabLine[] {
  return shortLines(text)
    .slice(0, MAX_LINES)
    .flatMap((line, index) => {
      const columns: FstabLine['columns'] = [];
      for (const match of line.matchAll(/\S+/g)) {
        columns.push({ start: match.index, end: match.index + match[0].length });
        if (columns.length === COLUMNS) break;
      }
      const field = (column: number) => line.slice(columns[column]?.start ?? 0, columns[column]?.end ?? 0);
      if (columns.length === 0 || field(0).startsWith('#')) return [];
      const [spec = '', place = '', type = ''] = [0, 1, 2].map((column) => unescapeField(field(column)));
      const options = field(3) === '' ? [] : field(3).split(',');
      return [{ index, text: line, spec, mountpoint: mountpointOf(place), type, options, columns }];
    });
}

/** Returns the mount point as the kernel shows it; `none` and `swap` stay. */
export function mountpointOf(text: string): string {
  return text.startsWith('/') ? posix.normalize(text).replace(/(?<=.)\/$/, '') : text;
}

/** True where the boot goes on without the entry, or where it is not mounted at boot. */
export function mayBeAbsent({ options }: FstabLine): boolean {
  return options.includes('nofail') || options.includes('noauto');
}

/**
 * Returns a field of fstab or /proc/self/mounts, which write blanks and backslashes as octal escapes
 * (`\040`).
 */
export function unescapeField(text: string): string {
  return text.replace(/(?:\\[0-3][0-7]{2})+/g, (escapes) =>
    Buffer.from(
      escapes
        .slice(1)
        .split('\\')
        .map((octal) => Number.parseInt(octal, 8)),
    ).toString('utf8'),
  );
}
