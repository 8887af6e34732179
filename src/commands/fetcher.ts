import type { Command } from 'commander';
import { type CommonOptions, collectSetting, configOf, newCommand, usageError } from './command.js';
import type { Io } from './io.js';

export function fetcherCommand(io: Io): Command {
  return newCommand(io, {
    usage: 'fetcher',
    summary: 'fetch VMs from other hosts for the daemon',
    description:
      'Runs the part of the service that has a network, in the foreground, as hyper2kvm-fetch.service does: the daemon, which has none, asks it by ' +
      '`remote.socket` for the VMs that a job.toml names. SIGTERM stops it, and every fetch continues later.',
    examples: ['systemctl enable --now hyper2kvm-fetch', 'hyper2kvm fetcher --config ./config.toml'],
  })
    .option('--set <key=value>', 'override one option (repeatable)', collectSetting)
    .action(async (_local, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { set?: Record<string, string> }>();
      const flags = { ...options.set, ...(options.json ? { 'log.format': 'json' } : {}) };
      const config = () => configOf(io, options, flags).config;
      if (config().remote.socket === '')
        throw usageError(
          '`remote.socket` is empty: the daemon fetches by itself',
          'Set it, or do not start this.',
        );
      const { runFetchUnit } = await import('../sources/remote/unit/run.js');
      await runFetchUnit(config);
    });
}
