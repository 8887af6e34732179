import { Command } from 'commander';
import { hyper2kvmVersion } from '../tools/versions.js';
import { drainCommand, pauseCommand, resumeCommand } from './admission.js';
import { cancelCommand } from './cancel.js';
import { addCommonOptions, prepare } from './command.js';
import { configCommand } from './config.js';
import { convertCommand } from './convert.js';
import { cutoverCommand } from './cutover.js';
import { daemonCommand } from './daemon.js';
import { doctorCommand } from './doctor.js';
import { reportFailure } from './failure.js';
import { fetcherCommand } from './fetcher.js';
import { inspectCommand } from './inspect.js';
import type { Io } from './io.js';
import { listCommand } from './list.js';
import { liveCommand } from './live.js';
import { logsCommand } from './logs.js';
import { metricsCommand } from './metrics.js';
import { planCommand } from './plan.js';
import { priorityCommand } from './priority.js';
import { retryCommand } from './retry.js';
import { showCommand } from './show.js';
import { statusCommand } from './status.js';

/** Every command, in the order of `--help`. */
const COMMANDS: readonly ((io: Io) => Command)[] = [
  convertCommand,
  inspectCommand,
  planCommand,
  liveCommand,
  daemonCommand,
  fetcherCommand,
  statusCommand,
  metricsCommand,
  listCommand,
  showCommand,
  logsCommand,
  retryCommand,
  cutoverCommand,
  cancelCommand,
  priorityCommand,
  pauseCommand,
  resumeCommand,
  drainCommand,
  doctorCommand,
  configCommand,
];

/**
 * Returns the whole table of commands, from which `--help`, the manual page and the shell completions are
 * made.
 */
export function createProgram(io: Io): Command {
  const program = addCommonOptions(prepare(io, new Command('hyper2kvm')))
    .description(
      'Drop a VM disk from any hypervisor into a directory; get back a VM that boots on KVM, with the proof.',
    )
    .version(hyper2kvmVersion(), '-V, --version', 'print the version')
    .addHelpText('after', '\n`hyper2kvm COMMAND --help` shows the options of a command and an example.');
  for (const build of COMMANDS) program.addCommand(build(io));
  return program;
}

/**
 * Runs one command line (without node and script). Returns the exit code: 0 success, 1 failure, 2 wrong
 * usage. Never throws.
 */
export async function main(args: readonly string[], io: Io): Promise<number> {
  const program = createProgram(io);
  try {
    await program.parseAsync(args, { from: 'user' });
    return io.exitCode;
  } catch (error) {
    return reportFailure(io, error, args.includes('--json'));
  }
}
