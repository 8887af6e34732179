import type { Command } from 'commander';
import { terminalText } from '../text/escape-terminal.js';
import { type CommonOptions, daemonOf, newCommand, printJson } from './command.js';
import type { Io } from './io.js';

export function cutoverCommand(io: Io): Command {
  return newCommand(io, {
    usage: 'cutover <job>',
    summary: 'finish a parked warm job',
    description:
      'Lets a parked job run to its end: FIX, CONVERT and VALIDATE on what was dropped so far. Switch the VM off before: what it writes from now on is lost. ' +
      'A dropped delta does this by itself; the command is for a VM that has changed nothing since its base. JOB is an id, a unique prefix of one, or the VM’s name.',
    examples: ['hyper2kvm cutover web01'],
  }).action(async (job: string, _local, command: Command) => {
    const options = command.optsWithGlobals<CommonOptions>();
    const summary = await daemonOf(io, options).cutOver(job);
    if (options.json) return printJson(io, summary);
    io.out(`${summary.job} (${terminalText(summary.vm)}) is ${summary.state} for its cutover.\n`);
  });
}
