const MOST_LINES = 4;
const MOST_CHARACTERS = 1000;

/** Returns the end of what a program printed, on one line, for a message. */
export function lastLines(output: string): string {
  return output
    .trim()
    .split(/\r?\n|\r/)
    .slice(-MOST_LINES)
    .join('; ')
    .slice(0, MOST_CHARACTERS);
}
