import { type Command, InvalidArgumentError, Option } from 'commander';
import { jobOptions } from '../config/load.js';
import { applyHost } from '../live/apply-host.js';
import { planHost } from '../live/plan-host.js';
import { isBackupId, newBackupId, withHost } from '../live/with-host.js';
import { describeChange } from '../ssh/changes.js';
import type { SshTarget } from '../ssh/target.js';
import { terminalText } from '../text/escape-terminal.js';
import { type CommonOptions, configOf, newCommand, printJson, usageError, warnOfRenamed } from './command.js';
import { identityText } from './identity-text.js';
import type { Io } from './io.js';
import { appliedText, liveCommandLine, nextText } from './live-text.js';
import { planText } from './plan.js';

interface LiveOptions extends CommonOptions {
  user?: string;
  port?: number;
  identity?: string;
  knownHosts?: string;
  apply?: string;
  rollback?: string;
}

export function liveCommand(io: Io): Command {
  return newCommand(io, {
    usage: 'live <host>',
    summary: 'prepare a running Linux guest before its move',
    description:
      'Reads a running guest over SSH and prints what can be changed in it while it still runs on its old hypervisor, with the plan’s digest; changes nothing. --apply makes exactly ' +
      'these changes, after a backup on the guest, and --rollback undoes them. The guest’s host key must be in known_hosts. The login is root, or may use sudo without a password.',
    examples: [
      'hyper2kvm live web01.example.com --user root',
      'hyper2kvm live web01.example.com --user root --apply sha256:DIGEST',
      'hyper2kvm live web01.example.com --user root --rollback 20260301T090000Z-1a2b3c',
    ],
  })
    .option('--user <name>', 'log in as this user (default: as ssh does)')
    .option('--port <number>', 'connect to this port', portNumber)
    .option('-i, --identity <file>', 'log in with this private key')
    .option('--known-hosts <file>', 'know hosts from this file alone, an absolute path')
    .addOption(
      new Option('--apply <digest>', 'make the changes of the plan with this digest').conflicts('rollback'),
    )
    .option('--rollback <id>', 'undo the changes of this backup')
    .action(async (host: string, _local, command: Command) => {
      const options = command.optsWithGlobals<LiveOptions>();
      const target: SshTarget = {
        host,
        user: options.user ?? null,
        port: options.port ?? null,
        identity: options.identity ?? null,
        knownHosts: options.knownHosts ?? null,
      };
      if (options.rollback !== undefined) return rollback(io, target, options.rollback, options);
      await planOrApply(io, target, options);
    });
}

async function planOrApply(io: Io, target: SshTarget, options: LiveOptions): Promise<void> {
  const { config, renamed } = configOf(io, options);
  warnOfRenamed(io, renamed);
  const { host } = target;
  const command = liveCommandLine(target, options.config);
  const signal = io.interruption();
  const approved = options.apply;
  const backup = newBackupId(new Date());
  await withHost(target, { signal, backup, digest: approved ?? '' }, async (access, workDirectory) => {
    const request = { vm: host, options: jobOptions(config, null), workDirectory, signal };
    const planned = await planHost(access, request);
    const { identity, plan, digest, writer } = planned;
    const changes = writer.changes().map(describeChange);
    if (approved === undefined) {
      if (options.json) return printJson(io, { host, digest, identity, plan, changes });
      return io.out(
        `${identityText(io, identity)}\n${planText(io, plan)}\n${nextText(command, digest, changes.length)}`,
      );
    }
    const id = changes.length === 0 ? null : backup;
    // Said before, because a connection that is lost from here on does not tell what has been done.
    if (id !== null && digest === approved) io.err(`The backup of the old files on the host is ${id}.\n`);
    const proofs = await applyHost(access, planned, approved);
    if (options.json) return printJson(io, { host, digest, backup: id, changes, proofs });
    io.out(appliedText(command, id, changes));
  });
}

async function rollback(io: Io, target: SshTarget, id: string, options: LiveOptions): Promise<void> {
  if (!isBackupId(id))
    throw usageError(
      `--rollback ${id} is not the name of a backup`,
      'It looks like 20260301T090000Z-1a2b3c.',
    );
  const where = { signal: io.interruption(), backup: '', digest: '' };
  const restored = await withHost(target, where, (access) => access.rollback(id));
  if (options.json) return printJson(io, { host: target.host, backup: id, restored });
  io.out(restored.map((path) => `restored ${terminalText(path)}\n`).join(''));
  io.out(restored.length === 0 ? 'Every file is as it was before already.\n' : '');
}

function portNumber(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port > 0 && port < 65_536) return port;
  throw new InvalidArgumentError('not a port number');
}
