import { type Command, Option } from 'commander';
import { STAGE_NAMES } from '../model/stage-names.js';
import { terminalText } from '../text/escape-terminal.js';
import { type CommonOptions, collectSetting, daemonOf, newCommand, printJson } from './command.js';
import type { Io } from './io.js';

interface RetryOptions extends CommonOptions {
  from?: string;
  set?: Record<string, string>;
}

export function retryCommand(io: Io): Command {
  return newCommand(io, {
    usage: 'retry <job>',
    summary: 'resume a failed job after its last completed stage',
    description:
      'Queues a failed or cancelled job again. It resumes after the last stage with a valid checkpoint; if an option changes, only the stages that depend on it run again.',
    examples: [
      'hyper2kvm retry web01',
      'hyper2kvm retry web01 --set fix.initramfs=rebuild',
      'hyper2kvm retry web01 --from inspect',
    ],
  })
    .addOption(
      new Option('--from <stage>', 'discard the checkpoints from this stage on').choices(STAGE_NAMES),
    )
    .option('--set <key=value>', 'override one per-VM option for this job (repeatable)', collectSetting)
    .action(async (job: string, _local, command: Command) => {
      const options = command.optsWithGlobals<RetryOptions>();
      const summary = await daemonOf(io, options).retry(job, {
        ...(options.from === undefined ? {} : { from: options.from }),
        ...(options.set === undefined ? {} : { set: options.set }),
      });
      if (options.json) return printJson(io, summary);
      io.out(`${summary.job} (${terminalText(summary.vm)}) is ${summary.state} again.\n`);
    });
}
