import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Operation } from '../model/operation.js';
import { diffHunks } from '../text/line-diff.js';

export interface DiffLine {
  kind: 'hunk' | 'add' | 'remove' | 'context';
  /** With the unified diff's first character (`+`, `-`, space, `@`). */
  text: string;
}

/** What an operation does to a file's text, as unified diff lines with three lines of context. Empty for operations without text. */
export function operationDiff(operation: Operation): DiffLine[] {
  if (operation.op === 'write_file') return textDiff(operation.before ?? '', operation.after);
  if (operation.op === 'remove') return textDiff(operation.before ?? '', '');
  return [];
}

/** Characters of both texts: what is longer is in plan.diff alone. */
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

/** `operationDiff` of each of a plan's operations, while others have their turn. */
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

/** What is done, in a few words; the object of it is a guest path or a command, unescaped. */
export function operationTitle(operation: Operation): { verb: string; object: string } {
  switch (operation.op) {
    case 'write_file':
      return { verb: operation.before === null ? 'create' : 'change', object: operation.path };
    case 'remove':
      return { verb: 'remove', object: operation.path };
    case 'symlink':
      return { verb: 'link', object: `${operation.path} → ${operation.target}` };
    case 'copy_file':
      return { verb: 'copy', object: `${operation.from} → ${operation.path}` };
    case 'append_initramfs':
      return { verb: 'append to', object: `${operation.path}: ${operation.modules.join(', ')}` };
    case 'rebuild_initramfs':
      return { verb: 'rebuild', object: `${operation.path}: ${operation.command.join(' ')}` };
    case 'install_packages':
      return { verb: 'install', object: operation.packages.map(({ file }) => file).join(', ') };
    case 'run':
      return { verb: 'run', object: operation.command.join(' ') };
  }
}
