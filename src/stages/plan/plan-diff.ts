import type { Operation } from '../../model/operation.js';
import type { Plan } from '../../model/plan.js';
import { diffText } from '../../text/escape-diff.js';
import { terminalLine } from '../../text/escape-terminal.js';
import { unifiedDiff } from '../../text/line-diff.js';

/**
 * `plan.diff`: each change with its reasons as `#` lines (patch(1) passes them over), the files' texts as unified diffs from the guest as it is to
 * the guest as it will be. What would end a line or steer a terminal is shown as an escape, in texts and names: no guest can forge a line of it. The
 * exact texts are in plan.json.
 */
export function planDiff({ operations, warnings }: Pick<Plan, 'operations' | 'warnings'>): string {
  const changes = new Map<string, Operation[]>();
  for (const operation of operations) {
    const known = changes.get(subject(operation));
    if (known === undefined) changes.set(subject(operation), [operation]);
    else known.push(operation);
  }
  const parts = [...changes.values()].map(changeOf);
  const notes = warnings.map(({ fixer, message }) => `# warning (${fixer}): ${terminalLine(message)}\n`);
  return [...notes, ...parts].join('\n');
}

/** What belongs together in the diff: all that happens to one path. */
function subject(operation: Operation): string {
  return operation.op === 'run' || operation.op === 'install_packages'
    ? operation.command.join(' ')
    : operation.path;
}

function changeOf(operations: readonly Operation[]): string {
  const reasons = operations
    .map((operation) => `# ${operation.fixer}: ${terminalLine(operation.reason)}\n`)
    .join('');
  const texts = operations.flatMap(textChange);
  const others = operations.map(describe);
  const [first, last] = [texts[0], texts.at(-1)];
  if (first === undefined || last === undefined) return reasons + others.join('');
  const before = first.before === null && last.after !== null ? '/dev/null' : `a${terminalLine(first.path)}`;
  const after = last.after === null ? '/dev/null' : `b${terminalLine(first.path)}`;
  const patch = unifiedDiff(before, after, diffText(first.before ?? ''), diffText(last.after ?? ''));
  return reasons + others.join('') + patch;
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
  return descriptionOf(operation)
    .map((line) => `# ${terminalLine(line)}\n`)
    .join('');
}

function descriptionOf(operation: Operation): string[] {
  switch (operation.op) {
    case 'symlink':
      return [`link ${operation.path} -> ${operation.target}`];
    case 'copy_file':
      return [`copy ${operation.from} -> ${operation.path}`];
    case 'append_initramfs':
      return [
        `append to ${operation.path}:`,
        ...operation.files.map((file) => `  ${file}`),
        ...(operation.replace ?? []).flatMap(replacement),
      ];
    case 'rebuild_initramfs':
    case 'run':
      return [`run ${operation.command.join(' ')}`];
    case 'install_packages':
      return [
        `run ${operation.command.join(' ')} with`,
        ...operation.packages.map(({ file, sha256 }) => `  ${file} (sha256 ${sha256})`),
      ];
    case 'remove':
      return isTextless(operation) ? [`remove ${operation.path}`] : [];
    case 'write_file':
      return [];
  }
}

/** The text of a file inside an initramfs is no file of the guest that patch(1) could find: it is shown as a remark. */
function replacement({ path, text }: { path: string; text: string | null }): string[] {
  if (text === null) return [`  without its ${path}`];
  return [
    `  with its ${path} as`,
    ...text
      .trimEnd()
      .split('\n')
      .map((line) => `  | ${line}`),
  ];
}
