import { setImmediate as nextTurn } from 'node:timers/promises';
import { kindOf, type Operation } from '../operations/registry.js';
import { diffHunks } from '../text/line-diff.js';

export interface DiffLine {
  kind: 'hunk' | 'add' | 'remove' | 'context';
  /** With the unified diff's first character (`+`, `-`, space, `@`). */
  text: string;
}

/**
 * Returns what an operation changes in a file's text, as unified diff lines with three lines of context.
 * Empty for operations without text.
 */
export function operationDiff(operation: Operation): DiffLine[] {
  const { text } = kindOf(operation).diff(operation);
  return text === null ? [] : textDiff(text.before ?? '', text.after ?? '');
}

/** Limit on the characters of both texts; a longer diff is only in plan.diff. */
const LONGEST_SHOWN = 512 * 1024;

function textDiff(before: string, after: string): DiffLine[] {
  if (before.length + after.length > LONGEST_SHOWN)
    return [{ kind: 'hunk', text: `${before.length} characters become ${after.length}: see plan.diff` }];
  return diffHunks(before, after, 3).flatMap((hunk) => [
    {
      kind: 'hunk' as const,
      text: `@@ -${hunk.oldStart},${hunk.oldLines} +${hunk.newStart},${hunk.newLines} @@`,
    },
    ...hunk.lines.map((text) => ({ kind: lineKind(text), text })),
  ]);
}

function lineKind(line: string): DiffLine['kind'] {
  if (line.startsWith('+')) return 'add';
  return line.startsWith('-') ? 'remove' : 'context';
}

/** Computes `operationDiff` for each operation of a plan, yielding to the event loop. */
export async function operationDiffs(
  operations: readonly Operation[],
): Promise<ReadonlyMap<Operation, DiffLine[]>> {
  const diffs = new Map<Operation, DiffLine[]>();
  for (const operation of operations) {
    diffs.set(operation, operationDiff(operation));
    await nextTurn();
  }
  return diffs;
}

/** Returns a short title; its object is a guest path or a command, not escaped. */
export function operationTitle(operation: Operation): { verb: string; object: string } {
  return kindOf(operation).title(operation);
}
