import { createTwoFilesPatch, type StructuredPatch, structuredPatch } from 'diff';

/**
 * Limit on the search for the shortest diff. The search takes quadratic time, and a guest can control both
 * texts: 167 KB of fstab took a minute. Real changes affect a few lines in each file. A longer diff is shown
 * as the part of the old text and that of the new one, which is correct but not minimal. This is a number and
 * not a time limit, so that the same texts always give the same diff.
 */
const LONGEST_SEARCH = 400;
const CONTEXT = 4;

type Hunk = StructuredPatch['hunks'][number];

/** Returns the hunks of the unified diff between two texts, with `context` lines around each change. */
export function diffHunks(before: string, after: string, context: number): Hunk[] {
  const options = { context, maxEditLength: LONGEST_SEARCH };
  const found = structuredPatch('before', 'after', before, after, undefined, undefined, options);
  return found?.hunks ?? [replacement(before, after, context)];
}

/** Returns the same as text, with the two file names first, as patch(1) reads it. */
export function unifiedDiff(beforeName: string, afterName: string, before: string, after: string): string {
  const options = { context: CONTEXT, maxEditLength: LONGEST_SEARCH };
  const found = createTwoFilesPatch(beforeName, afterName, before, after, undefined, undefined, options);
  if (found !== undefined) return found.replace(/^=+\n/, '');
  const { oldStart, oldLines, newStart, newLines, lines } = replacement(before, after, CONTEXT);
  const head = `--- ${beforeName}\n+++ ${afterName}\n@@ -${oldStart},${oldLines} +${newStart},${newLines} @@\n`;
  return `${head}${lines.join('\n')}\n`;
}

/** Returns one hunk without what both texts begin and end with; the rest is replaced. */
function replacement(before: string, after: string, context: number): Hunk {
  const [old, fresh] = [linesOf(before), linesOf(after)];
  const shorter = Math.min(old.length, fresh.length);
  let same = 0;
  while (same < shorter && old[same] === fresh[same]) same += 1;
  let tail = 0;
  while (tail < shorter - same && old.at(-1 - tail) === fresh.at(-1 - tail)) tail += 1;
  const start = Math.max(0, same - context);
  const [oldEnd, newEnd] = [old.length - tail, fresh.length - tail];
  const behind = Math.min(context, tail);
  const marked = (mark: string, lines: readonly string[]) =>
    lines.flatMap((line) =>
      line.endsWith('\n')
        ? [`${mark}${line.slice(0, -1)}`]
        : [`${mark}${line}`, '\\ No newline at end of file'],
    );
  const oldLines = oldEnd + behind - start;
  const newLines = newEnd + behind - start;
  return {
    // An empty side counts from the line before.
    oldStart: oldLines === 0 ? start : start + 1,
    oldLines,
    newStart: newLines === 0 ? start : start + 1,
    newLines,
    lines: [
      ...marked(' ', old.slice(start, same)),
      ...marked('-', old.slice(same, oldEnd)),
      ...marked('+', fresh.slice(same, newEnd)),
      ...marked(' ', old.slice(oldEnd, oldEnd + behind)),
    ],
  };
}

/** Splits a text into lines that keep their line ends. */
function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}
