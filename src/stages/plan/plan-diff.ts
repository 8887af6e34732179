import type { Plan } from '../../operations/plan.js';
import { kindOf, type Operation } from '../../operations/registry.js';
import { diffText } from '../../text/escape-diff.js';
import { terminalLine } from '../../text/escape-terminal.js';
import { unifiedDiff } from '../../text/line-diff.js';

/**
 * Returns `plan.diff`: each change with its reasons as `#` lines (which patch(1) ignores), and the files'
 * texts as unified diffs from the guest as it is to the guest after FIX. Characters that would end a line or
 * control a terminal are escaped, in texts and names, so that no guest can forge a line of it. The exact
 * texts are in plan.json.
 */
export function planDiff({ operations, warnings }: Pick<Plan, 'operations' | 'warnings'>): string {
  const changes = new Map<string, Operation[]>();
  for (const operation of operations) {
    const subject = kindOf(operation).subject(operation);
    const known = changes.get(subject);
    if (known === undefined) changes.set(subject, [operation]);
    else known.push(operation);
  }
  const parts = [...changes.values()].map(changeOf);
  const notes = warnings.map(({ fixer, message }) => `# warning (${fixer}): ${terminalLine(message)}\n`);
  return [...notes, ...parts].join('\n');
}

function changeOf(operations: readonly Operation[]): string {
  const diffs = operations.map((operation) => kindOf(operation).diff(operation));
  const reasons = operations.map(({ fixer, reason }) => `${fixer}: ${reason}`);
  const head = [...reasons, ...diffs.flatMap(({ remarks }) => remarks)]
    .map((line) => `# ${terminalLine(line)}\n`)
    .join('');
  const texts = diffs.flatMap(({ text }) => text ?? []);
  const [first, last] = [texts[0], texts.at(-1)];
  if (first === undefined || last === undefined) return head;
  const before = first.before === null && last.after !== null ? '/dev/null' : `a${terminalLine(first.path)}`;
  const after = last.after === null ? '/dev/null' : `b${terminalLine(first.path)}`;
  return head + unifiedDiff(before, after, diffText(first.before ?? ''), diffText(last.after ?? ''));
}
