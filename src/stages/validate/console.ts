import { StringDecoder } from 'node:string_decoder';

/** Longer lines are cut: no message that matters is longer, and a guest may send megabytes without a line end. */
const MAX_LINE = 4096;

/** Positioning (`H`, `f`) and clearing (`J`) begin a new line for the reader; everything else of ECMA-48 is colour or noise. */
const CURSOR = /\x1b\[[0-9;]*[HfJ]/g;
const ESCAPES =
  /\x1b\[[0-9;?=]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][0-9A-Za-z]|\x1b[=>78cDEHM]/g;
const UNFINISHED = /\x1b(?:\[[0-9;?=]*|\][^\x07\x1b]*|[()])?$/;
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f]/g;

/**
 * A serial console as lines of plain text, from chunks cut anywhere (inside a character, an escape sequence, a line). Prompts have no line
 * end: `tail` is the text after the last one.
 */
export class ConsoleLines {
  readonly #decoder = new StringDecoder('utf8');
  #raw = '';

  /** Returns the lines that became complete. */
  push(chunk: Buffer): string[] {
    this.#raw = (this.#raw + this.#decoder.write(chunk)).replace(CURSOR, '\n');
    const pieces = this.#raw.split(/\r*\n|\r(?!\n|$)/);
    this.#raw = pieces.pop() ?? '';
    if (this.#raw.length > MAX_LINE) this.#raw = this.#raw.slice(-MAX_LINE);
    return pieces.map((piece) => plain(piece.slice(0, MAX_LINE))).filter((line) => line !== '');
  }

  get tail(): string {
    return plain(this.#raw.replace(UNFINISHED, ''));
  }
}

function plain(text: string): string {
  return text.replace(ESCAPES, '').replace(CONTROLS, '').trimEnd();
}

const COLUMNS = 80;
const CELL_BYTES = 2;

/**
 * The text of a VGA text buffer (80 columns, a character and an attribute byte a cell; IBM VGA, memory from 0xb8000). The kernel scrolls by
 * moving the start within the 32 KiB, so all of it is read. Null when it is not text: in a graphics mode the window shows pixels.
 */
export function decodeVgaText(memory: Buffer): string | null {
  let visible = 0;
  let strange = 0;
  let text = '';
  for (let cell = 0; cell * CELL_BYTES + 1 < memory.length; cell++) {
    const code = memory[cell * CELL_BYTES] ?? 0;
    const printable = code >= 0x20 && code < 0x7f;
    if (printable && code !== 0x20) visible++;
    // Frames of GRUB's menu are code page 437's lines, 0xb3 to 0xda.
    if (!printable && code !== 0 && !(code >= 0xb0 && code <= 0xdf)) strange++;
    text += printable ? String.fromCharCode(code) : ' ';
    if ((cell + 1) % COLUMNS === 0) text += '\n';
  }
  if (visible === 0 || strange > visible / 8) return null;
  const lines = text.split('\n').map((line) => line.trimEnd());
  return lines.filter((line) => line !== '').join('\n');
}
