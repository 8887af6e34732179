import type { Command } from 'commander';
import type { Plan } from '../operations/plan.js';
import type { Operation } from '../operations/registry.js';
import { type DiffLine, operationDiff, operationTitle } from '../report/diff.js';
import { canonicalJson } from '../text/canonical-json.js';
import { terminalLine, terminalText } from '../text/escape-terminal.js';
import { formatCount } from '../text/format.js';
import { collectSetting, newCommand } from './command.js';
import type { ForegroundOptions } from './foreground.js';
import { runUntil } from './inspect.js';
import type { Io } from './io.js';

const LINE_STYLE = { add: 'green', remove: 'red', hunk: 'cyan' } as const satisfies Record<
  Exclude<DiffLine['kind'], 'context'>,
  string
>;

export function planCommand(io: Io): Command {
  return newCommand(io, {
    usage: 'plan <path>',
    summary: 'show what would be changed, as diffs (read-only)',
    description:
      'Stops after PLAN and prints each planned operation with its reason and its diff. --json prints plan.json. The same disk and options always give the same plan.',
    examples: ['hyper2kvm plan web01.vmdk', 'hyper2kvm plan web01.vmdk --set fix.network=dhcp | less -R'],
  })
    .option('--set <key=value>', 'override one option (repeatable)', collectSetting)
    .action(async (path: string, _local, command: Command) => {
      const options = command.optsWithGlobals<ForegroundOptions>();
      const outputs = await runUntil(io, path, 'plan', options);
      if (outputs === null) return;
      if (options.json) return io.out(`${canonicalJson(outputs.plan, 2)}\n`);
      io.out(outputs.plan === null ? 'A data disk: there is nothing to plan.\n' : planText(io, outputs.plan));
    });
}

export function planText(io: Pick<Io, 'paint'>, plan: Plan): string {
  const { operations, warnings, devices } = plan;
  const notes = warnings.map(
    ({ fixer, message }) =>
      `${io.paint('yellow', 'warning')} ${terminalText(fixer)}: ${terminalText(message)}\n`,
  );
  const summary = operations.length === 0 ? 'Nothing to change' : formatCount(operations.length, 'operation');
  const end = `${io.paint('bold', summary)}; disks on ${devices.disk_bus}, network on ${devices.nic_model}.\n`;
  return [...operations.map((operation) => operationText(io, operation)), notes.join(''), end]
    .filter((part) => part !== '')
    .join('\n');
}

function operationText(io: Pick<Io, 'paint'>, operation: Operation): string {
  const { verb, object } = operationTitle(operation);
  const head = `${io.paint('bold', `${verb} ${terminalText(object)}`)}\n`;
  const reason = `${io.paint('dim', `  ${terminalText(operation.fixer)}: ${terminalText(operation.reason)}`)}\n`;
  const diff = operationDiff(operation).map(({ kind, text }) => {
    const line = terminalLine(text);
    return `${kind === 'context' ? line : io.paint(LINE_STYLE[kind], line)}\n`;
  });
  return head + reason + diff.join('');
}
