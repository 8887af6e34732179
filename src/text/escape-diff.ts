import { UNSAFE, visible } from './unsafe.js';

/**
 * Returns a file's text for a unified diff: tabs and line ends (LF, CR LF) stay, so that the diff still fits
 * the file; no other character can end a line or steer a terminal. A file that is not UTF-8 was read as
 * Latin-1, whose upper controls count too.
 */
export function diffText(text: string): string {
  return text.replace(UNSAFE, (character, offset: number) => {
    const isLayout = character === '\n' || character === '\t';
    return isLayout || (character === '\r' && text[offset + 1] === '\n') ? character : visible(character);
  });
}
