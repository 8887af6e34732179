import { shortLines } from '../../families/base/edit.js';

/** Each is looked for among all filesystems. A real one has some dozen. */
const MAX_LINES = 5_000;

/** Lines of an fstab that are looked at; overlong ones are empty. */
export function fstabLines(text: string): string[] {
  return shortLines(text).slice(0, MAX_LINES);
}
