import { posix } from 'node:path';
import { shortLines } from '../text/lines.js';

/** An entry of /etc/fstab (fstab(5)), with the positions of its columns for editing. */
export interface FstabLine {
  /** The line's number, from 0. */
  index: number;
  /** The whole line, unchanged. */
  text: string;
  /** Unescaped, as are the next two; empty if the line ends before it. */
  spec: string;
  /** A path is normalised: `/boot/` and `//boot` are `/boot`. */
  mountpoint: string;
  type: string;
  /** Empty if there is no such column. */
  options: string[];
  /** The positions of the columns in the line, at most these four. */
  columns: { start: number; end: number }[];
}

const COLUMNS = 4;
/** Each line is compared with all filesystems. A real fstab has a few dozen at most. */
const MAX_LINES = 5_000;

/**
 * Returns the entries of an fstab. Blank lines, comments, lines longer than any real one and all after the
 * first 5,000 lines are omitted.
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

/** Returns the mount point as the kernel shows it; `none` and `swap` stay unchanged. */
export function mountpointOf(text: string): string {
  return text.startsWith('/') ? posix.normalize(text).replace(/(?<=.)\/$/, '') : text;
}

/** True if the boot continues without the entry, or does not mount it. */
export function mayBeAbsent({ options }: FstabLine): boolean {
  return options.includes('nofail') || options.includes('noauto');
}

/**
 * Decodes a field of fstab or /proc/self/mounts, in which blanks and backslashes are octal escapes (`\040`).
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
