import { UNSAFE, visible } from './unsafe.js';

/**
 * Returns a file's text for a unified diff. Tabs and line ends (LF, CR LF) stay, so that the diff still
 * applies to the file; no other character can end a line or control a terminal. A file that is not UTF-8 was
 * read as Latin-1, whose upper control characters are included.
 */
export function diffText(text: string): string {
  return text.replace(UNSAFE, (character, offset: number) => {
    const isLayout = character === '\n' || character === '\t';
    return isLayout || (character === '\r' && text[offset + 1] === '\n') ? character : visible(character);
  });
}
