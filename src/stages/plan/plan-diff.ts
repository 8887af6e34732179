import { createTwoFilesPatch } from 'diff';
import type { Operation, Plan } from '../../fixers/operation.js';

/**
 * `plan.diff`: each change with its reasons as `#` lines (patch(1) passes them over), the files' texts as unified diffs from the guest as it is to
 * the guest as it will be. Texts are the guest's, byte for byte: escape them before a terminal sees them (`printable`).
 */
export function planDiff({ operations, warnings }: Pick<Plan, 'operations' | 'warnings'>): string {
  const paths = [...new Set(operations.map(subject))];
  const parts = paths.map((path) => changeOf(operations.filter((operation) => subject(operation) === path)));
  const notes = warnings.map(({ fixer, message }) => `# warning (${fixer}): ${oneLine(message)}\n`);
  return [...notes, ...parts].join('\n');
}

/** What belongs together in the diff: all that happens to one path. */
function subject(operation: Operation): string {
  return operation.op === 'run' ? operation.command.join(' ') : operation.path;
}

function changeOf(operations: readonly Operation[]): string {
  const reasons = operations
    .map((operation) => `# ${operation.fixer}: ${oneLine(operation.reason)}\n`)
    .join('');
  const texts = operations.flatMap(textChange);
  const others = operations.map(describe);
  const [first, last] = [texts[0], texts.at(-1)];
  if (first === undefined || last === undefined) return reasons + others.join('');
  const before = first.before === null && last.after !== null ? '/dev/null' : `a${first.path}`;
  const after = last.after === null ? '/dev/null' : `b${first.path}`;
  const patch = createTwoFilesPatch(before, after, first.before ?? '', last.after ?? '');
  return reasons + others.join('') + patch.replace(/^=+\n/, '');
}

interface TextChange {
  path: string;
  before: string | null;
  after: string | null;
}

/** A removed link, or a file whose text is not known, has no text to show. */
const isTextless = (operation: Operation) => operation.op === 'remove' && operation.before === null;

function textChange(operation: Operation): TextChange[] {
  if (operation.op === 'write_file') return [operation];
  return isTextless(operation) || operation.op !== 'remove' ? [] : [{ ...operation, after: null }];
}

function describe(operation: Operation): string {
  switch (operation.op) {
    case 'symlink':
      return `# link ${operation.path} -> ${operation.target}\n`;
    case 'copy_file':
      return `# copy ${operation.from} -> ${operation.path}\n`;
    case 'append_initramfs':
      return `# append to ${operation.path}:\n${operation.files.map((file) => `#   ${file}\n`).join('')}`;
    case 'rebuild_initramfs':
    case 'run':
      return `# run ${operation.command.join(' ')}\n`;
    case 'remove':
      return isTextless(operation) ? `# remove ${operation.path}\n` : '';
    case 'write_file':
      return '';
  }
}

const oneLine = (text: string) => text.replaceAll('\n', ' ');

/** Guest text for a terminal: control characters (but for newline and tab) and bidirectional overrides become visible escapes. */
export function printable(text: string): string {
  return text.replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
