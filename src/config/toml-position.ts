/** Where a key stands in a TOML text; both count from 1. */
export interface TomlPosition {
  line: number;
  column: number;
}

/**
 * Finds where each key of a valid TOML 1.0 document is written, by its dotted path (`watch.settle_seconds`, `notify.0.url` for the first table of
 * an array). smol-toml gives values only; an error message wants the line. The text must have been parsed already: what is not valid TOML gives
 * positions of no meaning, never an exception.
 */
export function tomlPositions(text: string): Map<string, TomlPosition> {
  const scanner = new Scanner(text);
  scanner.document();
  return scanner.positions;
}

/** No option lies deeper; a dotted key of thousands of parts would else be kept once for each of them. */
const DEEPEST_KEY = 8;

class Scanner {
  readonly positions = new Map<string, TomlPosition>();
  readonly #text: string;
  /** Offset of the line that was marked last, and its number: keys are marked from the start to the end. */
  #lineStart = 0;
  #line = 1;
  readonly #arrayLengths = new Map<string, number>();
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): void {
    let table: string[] = [];
    while (this.#skipBlank()) {
      if (this.#peek() === '[') table = this.#header();
      else this.#assignment(table);
    }
  }

  /** `[a.b]` or `[[a.b]]`: the path that the following keys are under. */
  #header(): string[] {
    const isArray = this.#text.startsWith('[[', this.#at);
    this.#at += isArray ? 2 : 1;
    this.#skipSpaces();
    const start = this.#at;
    const path = this.#key();
    this.#mark(path, start);
    this.#at = endOfLine(this.#text, this.#at);
    if (!isArray) return path;
    const name = path.join('.');
    const index = this.#arrayLengths.get(name) ?? 0;
    this.#arrayLengths.set(name, index + 1);
    const element = [...path, String(index)];
    this.#mark(element, start);
    return element;
  }

  #assignment(table: readonly string[]): void {
    const start = this.#at;
    const path = [...table, ...this.#key()];
    this.#mark(path, start);
    // Over the `=`; in what is no TOML over anything else, so that the scan ends.
    this.#at += 1;
    this.#skipSpaces();
    this.#value(path);
  }

  #value(path: readonly string[]): void {
    const open = this.#peek();
    if (open === '"' || open === "'") this.#string();
    else if (open === '[') this.#array(path);
    else if (open === '{') this.#inlineTable(path);
    else while (this.#at < this.#text.length && !',]}#\n'.includes(this.#peek())) this.#at += 1;
  }

  #array(path: readonly string[]): void {
    this.#at += 1;
    for (let index = 0; this.#skipBlank() && this.#peek() !== ']'; index += 1) {
      const before = this.#at;
      this.#value([...path, String(index)]);
      this.#skipBlank();
      if (this.#peek() === ',' || this.#at === before) this.#at += 1;
    }
    this.#at += 1;
  }

  #inlineTable(path: readonly string[]): void {
    this.#at += 1;
    while (this.#skipBlank() && this.#peek() !== '}') {
      this.#assignment(path);
      this.#skipBlank();
      if (this.#peek() === ',') this.#at += 1;
    }
    this.#at += 1;
  }

  /** A bare, quoted or dotted key; stands behind it and the spaces that follow. */
  #key(): string[] {
    const parts: string[] = [];
    for (;;) {
      this.#skipSpaces();
      const start = this.#at;
      const quote = this.#peek();
      if (quote === '"' || quote === "'") {
        this.#string();
        parts.push(this.#text.slice(start + 1, this.#at - 1));
      } else {
        while (/[A-Za-z0-9_-]/.test(this.#peek())) this.#at += 1;
        parts.push(this.#text.slice(start, this.#at));
      }
      this.#skipSpaces();
      if (this.#peek() !== '.') return parts;
      this.#at += 1;
    }
  }

  #string(): void {
    const quote = this.#peek();
    const fence = this.#text.startsWith(quote.repeat(3), this.#at) ? quote.repeat(3) : quote;
    this.#at += fence.length;
    while (this.#at < this.#text.length && !this.#text.startsWith(fence, this.#at)) {
      this.#at += quote === '"' && this.#peek() === '\\' ? 2 : 1;
    }
    this.#at += fence.length;
    // A multi-line string may end in up to two quotes of its own.
    while (fence.length === 3 && this.#peek() === quote) this.#at += 1;
  }

  #mark(path: readonly string[], offset: number): void {
    for (let end = this.#lineEnd(); end !== -1 && end < offset; end = this.#lineEnd()) {
      this.#lineStart = end + 1;
      this.#line += 1;
    }
    const position = { line: this.#line, column: offset - this.#lineStart + 1 };
    for (let length = 1; length <= Math.min(path.length, DEEPEST_KEY); length += 1) {
      const name = path.slice(0, length).join('.');
      if (!this.positions.has(name)) this.positions.set(name, position);
    }
  }

  #lineEnd(): number {
    return this.#text.indexOf('\n', this.#lineStart);
  }

  #peek(): string {
    return this.#text.charAt(this.#at);
  }

  #skipSpaces(): void {
    while (this.#peek() === ' ' || this.#peek() === '\t') this.#at += 1;
  }

  /** Over spaces, line ends and comments; false at the end of the text. */
  #skipBlank(): boolean {
    for (;;) {
      while (/\s/.test(this.#peek())) this.#at += 1;
      if (this.#peek() !== '#') return this.#at < this.#text.length;
      this.#at = endOfLine(this.#text, this.#at);
    }
  }
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end === -1 ? text.length : end;
}
