/**
 * No line of configuration is longer in a real guest (the kernel accepts at most 4096 bytes of command line).
 * On longer ones, a hostile guest could stall the daemon by backtracking patterns.
 */
const MAX_LINE = 8192;

/**
 * Returns the text with `change` applied to each line that is not overlong, given its number from 0; line
 * ends stay.
 */
export function mapLines(text: string, change: (line: string, index: number) => string): string {
  return text
    .split('\n')
    .map((line, index) => (line.length > MAX_LINE ? line : change(line, index)))
    .join('\n');
}

/** Returns the lines of a text, with overlong ones empty. */
export function shortLines(text: string): string[] {
  return text.split('\n').map((line) => (line.length > MAX_LINE ? '' : line));
}

/**
 * Returns the last lines that a program printed, joined to a single one of at most 1000 characters, for a
 * message.
 */
export function lastLines(output: string): string {
  return output
    .trim()
    .split(/\r?\n|\r/)
    .slice(-4)
    .join('; ')
    .slice(0, 1000);
}
