/** One `NAME=value` or `NAME+=value` of a shell's file, by places in its text. */
export interface ShellAssignment {
  name: string;
  /** `+=`. */
  appends: boolean;
  /** Where the value begins and ends, its outermost quotes not counted where they go around all of it. */
  start: number;
  end: number;
  /** The quotes around the whole value; empty for none, or for several pieces. */
  quote: '"' | "'" | '';
}

/** Of one file: configuration has some tens. */
const MAX_ASSIGNMENTS = 2000;
const ASSIGNMENT = /[ \t]*(?:(?:export|declare|local)[ \t]+)?([A-Za-z_]\w*)(\+?)=/y;

/**
 * The assignments at the beginning of the lines of a shell's file, as the shell reads them: a value goes on over line
 * ends within quotes and behind a backslash, and ends at a blank, a `;` or a comment. What else is in the file is
 * passed over. Pure, for any text; takes time in proportion to it.
 */
export function shellAssignments(text: string): ShellAssignment[] {
  const found: ShellAssignment[] = [];
  for (let at = 0; at < text.length && found.length < MAX_ASSIGNMENTS; ) {
    ASSIGNMENT.lastIndex = at;
    const match = ASSIGNMENT.exec(text);
    if (match === null) {
      at = nextLine(text, at);
      continue;
    }
    const [, name = '', plus] = match;
    const begin = ASSIGNMENT.lastIndex;
    const end = wordEnd(text, begin);
    found.push({ name, appends: plus === '+', ...unquoted(text, begin, end) });
    // A second assignment may stand behind a `;`.
    const rest = /[ \t]*;/y;
    rest.lastIndex = end;
    at = rest.test(text) ? rest.lastIndex : nextLine(text, end);
  }
  return found;
}

/** The text with each value that `change` gives another, in its own quotes. Later assignments of a name included. */
export function mapAssignments(
  text: string,
  change: (assignment: ShellAssignment, value: string) => string,
): string {
  return shellAssignments(text).reduceRight((result, assignment) => {
    const { start, end } = assignment;
    const before = text.slice(start, end);
    const after = change(assignment, before);
    return after === before ? result : `${result.slice(0, start)}${after}${result.slice(end)}`;
  }, text);
}

function nextLine(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end === -1 ? text.length : end + 1;
}

/** The end of the shell's word at `begin`. An open quote goes to the end of the text. */
function wordEnd(text: string, begin: number): number {
  let quote = '';
  for (let at = begin; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '\\' && quote !== "'") at += 1;
    else if (quote !== '') quote = character === quote ? '' : quote;
    else if (character === '"' || character === "'") quote = character;
    else if (/[\s;&|]/.test(character)) return at;
  }
  return text.length;
}

function unquoted(
  text: string,
  begin: number,
  end: number,
): Pick<ShellAssignment, 'start' | 'end' | 'quote'> {
  const quote = text.charAt(begin);
  const isQuote = quote === '"' || quote === "'";
  if (!isQuote || end - begin < 2 || text.charAt(end - 1) !== quote) return { start: begin, end, quote: '' };
  // `"a"b"c"` is three pieces.
  for (let at = begin + 1; at < end - 1; at++) {
    if (text.charAt(at) === '\\' && quote === '"') at += 1;
    else if (text.charAt(at) === quote) return { start: begin, end, quote: '' };
  }
  return { start: begin + 1, end: end - 1, quote };
}
