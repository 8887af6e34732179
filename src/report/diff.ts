import { structuredPatch } from 'diff';
import type { Operation } from '../fixers/operation.js';

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

function textDiff(before: string, after: string): DiffLine[] {
  const { hunks } = structuredPatch('before', 'after', before, after, undefined, undefined, { context: 3 });
  return hunks.flatMap((hunk) => [
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
