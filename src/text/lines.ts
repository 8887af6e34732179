/**
 * No line of configuration is longer in a real guest (the kernel takes 4096 bytes of command line at most);
 * on longer ones the patterns' backtracking would be a hostile guest's way to stop the daemon.
 */
const MAX_LINE = 8192;

/**
 * Returns the text with `change` on each line that is not overlong, given its number from 0; line ends stay.
 */
export function mapLines(text: string, change: (line: string, index: number) => string): string {
  return text
    .split('\n')
    .map((line, index) => (line.length > MAX_LINE ? line : change(line, index)))
    .join('\n');
}

/** Returns the lines of a text, overlong ones empty. */
export function shortLines(text: string): string[] {
  return text.split('\n').map((line) => (line.length > MAX_LINE ? '' : line));
}

/** Returns the last lines that a program printed, joined to one of at most 1000 characters, for a message. */
export function lastLines(output: string): string {
  return output
    .trim()
    .split(/\r?\n|\r/)
    .slice(-4)
    .join('; ')
    .slice(0, 1000);
}
