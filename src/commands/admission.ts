import type { Command } from 'commander';
import type { ControlClient } from '../api/client.js';
import type { Status } from '../api/protocol.js';
import { type CommandText, type CommonOptions, daemonOf, newCommand, printJson } from './command.js';
import type { Io } from './io.js';

/** Returns one of `pause`, `resume` and `drain`, which control what the daemon may begin. */
function admissionCommand(
  io: Io,
  text: CommandText,
  tell: (client: ControlClient) => Promise<Status>,
  done: (status: Status) => string,
): Command {
  return newCommand(io, text).action(async (_local, command: Command) => {
    const options = command.optsWithGlobals<CommonOptions>();
    const status = await tell(daemonOf(io, options));
    if (options.json) printJson(io, status);
    else io.out(`${done(status)}\n`);
  });
}

export function pauseCommand(io: Io): Command {
  return admissionCommand(
    io,
    {
      usage: 'pause',
      summary: 'start no further jobs; those in progress continue',
      examples: ['hyper2kvm pause'],
    },
    (client) => client.pause(),
    (status) =>
      `Paused. ${status.jobs.running} in progress continue; \`hyper2kvm resume\` resumes the queue.`,
  );
}

export function resumeCommand(io: Io): Command {
  return admissionCommand(
    io,
    { usage: 'resume', summary: 'resume the queue', examples: ['hyper2kvm resume'] },
    (client) => client.resume(),
    (status) =>
      status.state === 'running'
        ? `Running. ${status.jobs.queued} queued.`
        : `Still paused: ${status.paused_reason ?? status.state}.`,
  );
}

export function drainCommand(io: Io): Command {
  return admissionCommand(
    io,
    {
      usage: 'drain',
      summary: 'finish queued jobs, accept no new drops',
      description:
        'Claims no further drop from incoming and finishes the jobs that are queued and in progress, for example before maintenance. `hyper2kvm resume` ends this.',
      examples: ['hyper2kvm drain && hyper2kvm list -w'],
    },
    (client) => client.drain(),
    (status) =>
      `Draining. ${status.jobs.running} in progress, ${status.jobs.queued} queued; no new drop is accepted.`,
  );
}
