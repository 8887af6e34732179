/**
 * Control sequences of a terminal (ECMA-48, ECMA-35): CSI, control strings (DCS, OSC, PM, APC, SOS) with
 * their end, then escapes of two or more bytes. Not util.stripVTControlCharacters: it leaves `ESC [ ! p`,
 * with which systemd 257 resets each console, swallows the character after `ESC 7`, and takes 11 seconds for
 * 64 KiB of `ESC ] a`, which any guest can print (Node 24.21).
 */
const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|[P\]X^_][^\u0007\u001b]*(?:\u0007|\u001b\\)|[ -/]*[0-~])/g;

/** The beginning of such a sequence at the end of a text. */
const UNFINISHED = /\u001b(?:\[[0-?]*[ -/]*|[P\]X^_][^\u0007\u001b]*\u001b?|[ -/]*)$/;

/** Returns a console's text without colours, cursor movements and titles. */
export function withoutEscapes(text: string): string {
  return text.replace(ESCAPES, '');
}

/** Returns a text without an incomplete escape sequence at its end. */
export function withoutUnfinishedEscape(text: string): string {
  return text.replace(UNFINISHED, '');
}
