import { CommanderError } from 'commander';
import { errorRecord } from '../errors/error.js';
import { terminalText } from '../text/escape-terminal.js';
import { usageError } from './command.js';
import type { Io } from './io.js';

export const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

/** Codes of errors in what the user typed or wrote, detected before anything was begun. */
const USAGE_CODE = /^(usage|config|job-options)\./;

/** Prints an error, for people on stderr or as `{error}` on stdout, and returns the exit code. */
export function reportFailure(io: Io, thrown: unknown, json: boolean): number {
  if (thrown instanceof CommanderError) {
    // Help or version was requested and is printed already.
    if (thrown.exitCode === 0) return 0;
    // `hyper2kvm` alone: the help shows what is missing.
    if (thrown.code === 'commander.help') return EXIT_USAGE;
  }
  const error = errorRecord(thrown instanceof CommanderError ? wrongUsage(thrown) : thrown);
  if (json) io.out(`${JSON.stringify({ error }, null, 2)}\n`);
  else io.err(failureText(io, error));
  return USAGE_CODE.test(error.code) ? EXIT_USAGE : EXIT_FAILED;
}

/** Returns `hyper2kvm: code: message`, then what to do. */
export function failureText(io: Io, error: { code: string; message: string; advice: string }): string {
  const lines = error.message.split('\n').map(terminalText);
  const head = `${io.paintErr(['bold', 'red'], 'hyper2kvm:')} ${terminalText(error.code)}: ${lines.join('\n  ')}\n`;
  return error.advice === '' ? head : `${head}  ${error.advice.split('\n').map(terminalText).join('\n  ')}\n`;
}

function wrongUsage(error: CommanderError): Error {
  const message = error.message
    .replace(/^error: /, '')
    .replace(/\s+/g, ' ')
    .trim();
  return usageError(message, 'See `hyper2kvm --help`, or `hyper2kvm COMMAND --help`.');
}
