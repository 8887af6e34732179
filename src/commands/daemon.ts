import type { Command } from 'commander';
import { type CommonOptions, collectSetting, configOf, newCommand, warnOfRenamed } from './command.js';
import type { Io } from './io.js';

export function daemonCommand(io: Io): Command {
  return newCommand(io, {
    usage: 'daemon',
    summary: 'run the service: watch, queue, convert, archive',
    description:
      'Runs the service in the foreground, as systemd expects it: watches the spool, converts what is dropped, logs to stdout. ' +
      'SIGTERM stops it cleanly, and every job in progress resumes at the next start. SIGHUP reloads the configuration.',
    examples: ['systemctl start hyper2kvm', 'hyper2kvm daemon --config ./config.toml'],
  })
    .option('--set <key=value>', 'override one option (repeatable)', collectSetting)
    .action(async (_local, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { set?: Record<string, string> }>();
      const flags = { ...options.set, ...(options.json ? { 'log.format': 'json' } : {}) };
      // The service's parts take 0.3 s to load, which short commands avoid.
      const { runDaemon } = await import('../daemon/daemon.js');
      const load = () => {
        const { config, renamed } = configOf(io, options, flags);
        warnOfRenamed(io, renamed);
        return config;
      };
      await runDaemon(load(), { reload: load });
    });
}
