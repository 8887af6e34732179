import { type Argument, Command } from 'commander';
import { ControlClient } from '../api/client.js';
import { controlSocket } from '../config/control-socket.js';
import { type LoadedConfig, loadConfig } from '../config/load.js';
import { type RenamedKey, renamedText } from '../config/renamed.js';
import { Hyper2kvmError } from '../errors/error.js';
import { terminalText } from '../text/escape-terminal.js';
import type { Io } from './io.js';

/** Options that every command has. */
export interface CommonOptions {
  config?: string;
  json?: boolean;
}

export interface CommandText {
  /** With its arguments: `show <job>`. */
  usage: string;
  /** One line for the list of commands. */
  summary: string;
  /** More text for `--help`; by default the summary. */
  description?: string;
  /** One or more complete command lines. */
  examples: readonly string[];
}

/** commander keeps no added help text where another page could find it. */
const EXAMPLES = new WeakMap<Command, readonly string[]>();

/** Returns the lines at the end of a command's help, for the manual page. */
export function examplesOf(command: Command): readonly string[] {
  return EXAMPLES.get(command) ?? [];
}

/**
 * Returns a command with everything that all commands share. Wrong usage throws commander's error, which main
 * turns into exit code 2.
 */
export function newCommand(io: Io, text: CommandText): Command {
  const [name, ...words] = text.usage.split(' ') as [string, ...string[]];
  const command = prepare(io, new Command(name))
    .summary(text.summary)
    .description(text.description ?? text.summary)
    .addHelpText('after', `\nExamples:\n${text.examples.map((line) => `  $ ${line}`).join('\n')}`);
  for (const word of words) command.argument(word);
  EXAMPLES.set(command, text.examples);
  return addCommonOptions(command);
}

/** Applies settings that commander does not pass on to commands which are built separately. */
export function prepare(io: Io, command: Command): Command {
  return command
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err, outputError: () => {} })
    .configureHelp({
      helpWidth: Math.min(io.columns(), 100),
      // Every command has options, so that lines of the list need not mention them.
      subcommandTerm: (sub) => [sub.name(), ...sub.registeredArguments.map(argumentTerm)].join(' '),
    })
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false);
}

function argumentTerm(argument: Argument): string {
  return argument.required ? `<${argument.name()}>` : `[${argument.name()}]`;
}

export function addCommonOptions(command: Command): Command {
  return command
    .option('--config <file>', 'read this configuration (default: /etc/hyper2kvm/config.toml, if it exists)')
    .option('--json', 'print JSON for scripts');
}

/** Collects `--set KEY=VALUE`, repeatable, into a table. Throws `usage.invalid`. */
export function collectSetting(text: string, previous: Record<string, string> = {}): Record<string, string> {
  const equals = text.indexOf('=');
  if (equals <= 0)
    throw usageError(`--set ${text} is not KEY=VALUE`, 'For example: --set fix.initramfs=rebuild');
  return { ...previous, [text.slice(0, equals)]: text.slice(equals + 1) };
}

export function usageError(message: string, advice: string, cause?: unknown): Hyper2kvmError {
  return new Hyper2kvmError('usage.invalid', message, { advice, cause });
}

/** Returns the configuration in force: the file, then `HYPER2KVM_*`, then `flags`. Errors: `config.*`. */
export function configOf(io: Io, options: CommonOptions, flags: Record<string, unknown> = {}): LoadedConfig {
  return loadConfig({ file: options.config, env: io.env, flags });
}

/** Warns on stderr about keys that are written under an old name. */
export function warnOfRenamed(io: Io, renamed: readonly RenamedKey[]): void {
  for (const key of renamed) io.err(`warning: ${terminalText(renamedText(key))}\n`);
}

/** Returns a client for the configured daemon. Other errors in the configuration only give a warning. */
export function daemonOf(io: Io, options: CommonOptions): ControlClient {
  const { path, problem } = controlSocket({ file: options.config, env: io.env });
  if (problem !== null) {
    const [first] = problem.message.split('\n');
    io.err(
      `warning: ${terminalText(`${problem.code}: ${first}`)}; asking the daemon on ${terminalText(path)}\n`,
    );
  }
  return new ControlClient(path);
}

export function printJson(io: Io, value: unknown): void {
  io.out(`${JSON.stringify(value, null, 2)}\n`);
}
