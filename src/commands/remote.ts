import type { Command } from 'commander';
import { terminalText } from '../text/escape-terminal.js';
import { type CommonOptions, daemonOf, newCommand, printJson } from './command.js';
import { EXIT_FAILED } from './failure.js';
import type { Io } from './io.js';

export function remoteCommand(io: Io): Command {
  const command = newCommand(io, {
    usage: 'remote',
    summary: 'undo what jobs made on other hosts',
    examples: ['hyper2kvm remote release', 'hyper2kvm remote release web01'],
  });
  command.addCommand(releaseCommand(io));
  return command;
}

function releaseCommand(io: Io): Command {
  return newCommand(io, {
    usage: 'release [job]',
    summary: 'remove snapshots and end accesses that jobs have left on other hosts',
    description:
      'A job that fetches a VM may need a snapshot or an access to a disk on the other host, which is undone when it ends. ' +
      'What could not be undone then (the host did not answer) is tried again by the daemon, and by this command: of one job that has ended, or of all. Exits with 1 if something is left.',
    examples: ['hyper2kvm remote release', 'hyper2kvm remote release web01 --json'],
  }).action(async (job: string | undefined, _local, command: Command) => {
    const options = command.optsWithGlobals<CommonOptions>();
    const released = await daemonOf(io, options).release(job);
    const isLeft = released.some(({ error }) => error !== null);
    if (isLeft) io.exitCode = EXIT_FAILED;
    if (options.json) return printJson(io, released);
    for (const { job: id, connection, what, target, error } of released) {
      const end = error === null ? 'undone' : `left: ${error.message} (${error.code}). ${error.advice}`;
      io.out(terminalText(`${id} ${connection} ${what} ${target}: ${end}`).concat('\n'));
    }
    if (released.length === 0) io.out('Nothing is left on other hosts.\n');
  });
}
