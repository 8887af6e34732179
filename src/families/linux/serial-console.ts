import { bootFiles, mapCommandLines } from '../../guest/command-line-files.js';
import { rewriteFile } from '../base/edit.js';
import type { Fixer } from '../base/fixer.js';
import { appendArguments, hasKernelArguments, serialConsoleOptions } from './command-line.js';

const NAME = 'serial-console';

export const serialConsole: Fixer = {
  name: NAME,
  whileRunning: false,
  description:
    'Only with fix.serial_console: kernels also get a console on the first serial port, on which systemd then starts a login.',
  plan({ identity, options, tree }) {
    if (!options.serial_console) return { operations: [], warnings: [] };
    const reason = 'fix.serial_console asks for a console on the first serial port';
    const consoles = serialConsoleOptions(identity);
    const operations = bootFiles(tree).flatMap(({ path, kind }) =>
      rewriteFile(tree, path, { fixer: NAME, reason }, (text) =>
        mapCommandLines(text, kind, (args, line) =>
          hasKernelArguments(kind, line) && !/console=tty(?:S|AMA)/.test(args)
            ? appendArguments(args, consoles)
            : args,
        ),
      ),
    );
    return { operations, warnings: [] };
  },
};
