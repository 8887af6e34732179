import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { problemText } from '../config/check.js';
import {
  checkConfig,
  configJsonSchema,
  DEFAULT_CONFIG_FILE,
  type Origin,
  optionTable,
} from '../config/load.js';
import { Hyper2kvmError } from '../errors/error.js';
import { terminalText } from '../text/escape-terminal.js';
import { type CommonOptions, configOf, newCommand, printJson, warnOfRenamed } from './command.js';
import { EXIT_FAILED } from './failure.js';
import type { Io } from './io.js';

export function configCommand(io: Io): Command {
  const command = newCommand(io, {
    usage: 'config',
    summary: 'check, show or describe the configuration',
    examples: ['hyper2kvm config check /etc/hyper2kvm/config.toml', 'hyper2kvm config show'],
  });
  for (const build of [checkCommand, showCommand, schemaCommand]) command.addCommand(build(io));
  return command;
}

function checkCommand(io: Io): Command {
  return newCommand(io, {
    usage: 'check [file]',
    summary: 'validate a file: every problem with its line, and the nearest known key',
    examples: ['hyper2kvm config check ./config.toml'],
  }).action(async (given: string | undefined, _local, command: Command) => {
    const options = command.optsWithGlobals<CommonOptions>();
    const file = given ?? options.config ?? DEFAULT_CONFIG_FILE;
    const { problems, renamed } = checkConfig(await readConfig(file), file);
    if (problems.length > 0) io.exitCode = EXIT_FAILED;
    if (options.json) return printJson(io, { file, valid: problems.length === 0, problems, renamed });
    warnOfRenamed(io, renamed);
    for (const problem of problems) io.out(`${terminalText(problemText(problem))}\n`);
    if (problems.length === 0) io.out(`${terminalText(file)}: right\n`);
  });
}

async function readConfig(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new Hyper2kvmError('config.missing', `${file} cannot be read`, {
      advice: 'Name the file to check: hyper2kvm config check FILE',
      cause,
    });
  }
}

function showCommand(io: Io): Command {
  return newCommand(io, {
    usage: 'show',
    summary: 'show the values in force, and where each came from',
    examples: ['hyper2kvm config show', "hyper2kvm config show --json | jq '.config.spool'"],
  }).action((_local, command: Command) => {
    const options = command.optsWithGlobals<CommonOptions>();
    const loaded = configOf(io, options);
    if (options.json) return printJson(io, loaded);
    warnOfRenamed(io, loaded.renamed);
    io.out(`# file: ${loaded.file === null ? 'none, the defaults' : terminalText(loaded.file)}\n`);
    let table = '';
    for (const { key, table: of, name } of optionTable()) {
      if (of !== table) io.out(`\n${io.paint('bold', `[${of}]`)}\n`);
      table = of;
      const tables: Record<string, Record<string, unknown>> = loaded.config;
      const line = terminalText(`${name} = ${JSON.stringify(tables[of]?.[name])}`);
      io.out(`${line.padEnd(52)} ${io.paint('dim', `# ${originText(loaded.origins[key]!)}`)}\n`);
    }
  });
}

function originText({ source, where }: Origin): string {
  return source === 'default' ? 'default' : terminalText(where);
}

function schemaCommand(io: Io): Command {
  return newCommand(io, {
    usage: 'schema',
    summary: 'print the JSON schema of the configuration, for editors',
    examples: ['hyper2kvm config schema > hyper2kvm.schema.json'],
  }).action(() => printJson(io, configJsonSchema()));
}
