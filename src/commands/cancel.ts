import type { Command } from 'commander';
import { terminalText } from '../text/escape-terminal.js';
import { type CommonOptions, daemonOf, newCommand, printJson } from './command.js';
import type { Io } from './io.js';

export function cancelCommand(io: Io): Command {
  return newCommand(io, {
    usage: 'cancel <job>',
    summary: 'stop a job; its source goes to failed/',
    description:
      'Stops a queued or running job and its tools. The untouched source goes to failed/; `hyper2kvm retry` starts the job again. ' +
      'JOB is an id, a unique prefix of one, or the VM’s name.',
    examples: ['hyper2kvm cancel web01'],
  }).action(async (job: string, _local, command: Command) => {
    const options = command.optsWithGlobals<CommonOptions>();
    const summary = await daemonOf(io, options).cancel(job);
    if (options.json) return printJson(io, summary);
    io.out(`Cancelling ${summary.job} (${terminalText(summary.vm)}).\n`);
  });
}
