import { badInf } from './errors.js';

/** Real ones have some kilobytes; Windows' own largest has 2 MiB. */
const MAX_BYTES = 8 * 1024 ** 2;

/** Text of an INF file: UTF-16 or UTF-8 where it begins with a byte order mark, else Windows-1252. */
export function infText(bytes: Buffer): string {
  if (bytes.length > MAX_BYTES) throw badInf('it is larger than any INF');
  return new TextDecoder(encodingOf(bytes)).decode(bytes);
}

function encodingOf(bytes: Buffer): string {
  const mark = bytes.toString('hex', 0, 3);
  if (mark.startsWith('fffe')) return 'utf-16le';
  if (mark.startsWith('feff')) return 'utf-16be';
  return mark === 'efbbbf' ? 'utf-8' : 'windows-1252';
}
