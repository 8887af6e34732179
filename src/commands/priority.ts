import type { Command } from 'commander';
import { terminalText } from '../text/escape-terminal.js';
import { type CommonOptions, daemonOf, newCommand, printJson, usageError } from './command.js';
import type { Io } from './io.js';

export function priorityCommand(io: Io): Command {
  return newCommand(io, {
    usage: 'priority <job> <n>',
    summary: 'change a job’s priority',
    description:
      'Sets a job’s priority, an integer (default 0). Jobs with higher priority run first, those with negative priority after all others.',
    examples: ['hyper2kvm priority web01 10', 'hyper2kvm priority web02 -5'],
  }).action(async (job: string, text: string, _local, command: Command) => {
    if (!/^-?\d{1,9}$/.test(text))
      throw usageError(`${text} is not an integer`, 'For example: hyper2kvm priority web01 10');
    const options = command.optsWithGlobals<CommonOptions>();
    const summary = await daemonOf(io, options).priority(job, Number(text));
    if (options.json) return printJson(io, summary);
    io.out(`${summary.job} (${terminalText(summary.vm)}) has priority ${summary.priority}.\n`);
  });
}
