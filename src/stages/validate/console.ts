import { StringDecoder } from 'node:string_decoder';
import { withoutEscapes, withoutUnfinishedEscape } from '../../text/terminal-escapes.js';

/**
 * Longer lines are cut. No relevant message is longer, a guest may send megabytes without a line end, and
 * matching takes quadratic time in the length. Of a line without an end the last characters are kept, because
 * prompts are there.
 */
export const MAX_LINE = 512;
/** A longer escape sequence is not one. */
const MAX_UNFINISHED = 2048;

/** Positioning (`H`, `f`) and clearing (`J`) begin a new line; everything else of ECMA-48 is removed. */
const LINE_ENDS = /\n|\r(?!\n|$)/;
const CURSOR = /\x1b\[[0-9;]*[HfJ]/g;
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f]/g;

/**
 * Splits a serial console into lines of plain text, from chunks cut anywhere (inside a character, an escape
 * sequence, a line). Prompts have no line end: `tail` is the text after the last one.
 */
export class ConsoleLines {
  readonly #decoder = new StringDecoder('utf8');
  #raw = '';

  /** Returns the lines that became complete. */
  push(chunk: Buffer): string[] {
    this.#raw = (this.#raw + this.#decoder.write(chunk)).replace(CURSOR, '\n');
    const pieces = this.#raw.split(LINE_ENDS);
    this.#raw = pieces.pop() ?? '';
    if (this.#raw.length > MAX_UNFINISHED) this.#raw = this.#raw.slice(-MAX_UNFINISHED);
    return pieces
      .map((piece) => plain(piece.slice(0, MAX_UNFINISHED)).slice(0, MAX_LINE))
      .filter((line) => line !== '');
  }

  get tail(): string {
    return plain(withoutUnfinishedEscape(this.#raw)).slice(-MAX_LINE);
  }
}

function plain(text: string): string {
  return withoutEscapes(text).replace(CONTROLS, '').trimEnd();
}

/** A verbose boot with systemd's debugging prints a megabyte or two. */
const BURST_BYTES = 4 * 1024 * 1024;
const BYTES_PER_SECOND = 128 * 1024;
/** Processed in one turn of the event loop; one-character lines take the longest. */
const TURN_BYTES = 16 * 1024;

/**
 * Passes a console's chunks to `use`, a few KiB in each turn of the event loop: up to `BURST_BYTES` at once,
 * then a limited rate. What a guest prints beyond that does not identify a boot and is dropped, oldest first,
 * because a prompt is at the end.
 */
export class ConsoleFeed {
  readonly #use: (chunk: Buffer, at: number) => void;
  #waiting: { chunk: Buffer; at: number }[] = [];
  #left = BURST_BYTES;
  #at = 0;

  constructor(use: (chunk: Buffer, at: number) => void) {
    this.#use = use;
  }

  /** `at` is in seconds since power-on. */
  push(chunk: Buffer, at: number): void {
    this.#left = Math.min(BURST_BYTES, this.#left + Math.max(0, at - this.#at) * BYTES_PER_SECOND);
    this.#at = at;
    const taken = chunk.subarray(Math.max(0, chunk.length - Math.floor(this.#left)));
    this.#left -= taken.length;
    for (let start = 0; start < taken.length; start += TURN_BYTES)
      this.#waiting.push({ chunk: taken.subarray(start, start + TURN_BYTES), at });
    this.#next();
  }

  /** Processes the first chunk at once, because a verdict may depend on it. */
  #next(): void {
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.#use(next.chunk, next.at);
    if (this.#waiting.length > 0) setImmediate(() => this.#next());
  }
}

const COLUMNS = 80;
const CELL_BYTES = 2;

/**
 * Decodes the text of a VGA text buffer (80 columns, a character and an attribute byte for each cell; IBM
 * VGA, memory from 0xb8000). The kernel scrolls by moving the start within the 32 KiB, so all of it is read.
 * Null if it is not text: in a graphics mode the window contains pixels.
 */
export function decodeVgaText(memory: Buffer): string | null {
  let visible = 0;
  let strange = 0;
  let text = '';
  for (let cell = 0; cell * CELL_BYTES + 1 < memory.length; cell++) {
    const code = memory[cell * CELL_BYTES] ?? 0;
    const printable = code >= 0x20 && code < 0x7f;
    if (printable && code !== 0x20) visible++;
    // Frames of GRUB's menu are the line characters of code page 437, 0xb3 to 0xda.
    if (!printable && code !== 0 && !(code >= 0xb0 && code <= 0xdf)) strange++;
    text += printable ? String.fromCharCode(code) : ' ';
    if ((cell + 1) % COLUMNS === 0) text += '\n';
  }
  if (visible === 0 || strange > visible / 8) return null;
  const lines = text.split('\n').map((line) => line.trimEnd());
  return lines.filter((line) => line !== '').join('\n');
}
