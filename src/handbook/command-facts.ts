import type { Command } from 'commander';
import { createIo } from '../commands/io.js';
import { createProgram } from '../commands/main.js';

/** Returns the commands without output, with a fixed width of 80 columns. */
export function describedProgram(): Command {
  const nowhere = { write: () => true };
  return createProgram(createIo(nowhere, nowhere, {}));
}

/**
 * Returns the commands that do something, each with all its words (`config check`), in the order of `--help`.
 */
export function leafCommands(program: Command): { words: string; command: Command }[] {
  return program.commands.flatMap((command) =>
    command.commands.length === 0
      ? [{ words: command.name(), command }]
      : leafCommands(command).map(({ words, command: leaf }) => ({
          words: `${command.name()} ${words}`,
          command: leaf,
        })),
  );
}

/** Returns a command's arguments as the synopsis shows them: `<job>`, `[file]`. */
export function argumentWords(command: Command): string[] {
  return command.registeredArguments.map((argument) =>
    argument.required ? `<${argument.name()}>` : `[${argument.name()}]`,
  );
}

/** Returns `-w` and `--watch` of an option, without the name of its value. */
export function flagsOf(option: { short?: string | undefined; long?: string | undefined }): string[] {
  return [option.short, option.long].filter((flag) => flag !== undefined);
}
