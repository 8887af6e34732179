import type { Command } from 'commander';
import { type CommonOptions, daemonOf, newCommand, printJson } from './command.js';
import type { Io } from './io.js';

export function metricsCommand(io: Io): Command {
  return newCommand(io, {
    usage: 'metrics',
    summary: 'print the daemon’s metrics in Prometheus’ text format',
    examples: ['hyper2kvm metrics', 'hyper2kvm metrics | grep hyper2kvm_jobs'],
  }).action(async (_local, command: Command) => {
    const options = command.optsWithGlobals<CommonOptions>();
    const text = await daemonOf(io, options).metrics();
    if (options.json) printJson(io, text);
    else io.out(text);
  });
}
