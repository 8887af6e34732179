import type { Command } from 'commander';
import { terminalText } from '../text/escape-terminal.js';
import { type CommonOptions, daemonOf, newCommand } from './command.js';
import type { Io } from './io.js';

const LEVEL_STYLE: Record<string, 'red' | 'yellow' | 'dim'> = {
  fatal: 'red',
  error: 'red',
  warn: 'yellow',
  debug: 'dim',
  trace: 'dim',
};
const SHOWN_APART = new Set(['level', 'time', 'msg', 'job', 'stage']);

export function logsCommand(io: Io): Command {
  return newCommand(io, {
    usage: 'logs <job>',
    summary: 'print a job’s log',
    description:
      'Prints a job’s log with all details, including those that are not in the journal. --json prints the lines unchanged (NDJSON).',
    examples: ['hyper2kvm logs -f web01', 'hyper2kvm logs web01 --json | jq \'select(.level == "error")\''],
  })
    .option('-f, --follow', 'follow the log until the job is done')
    .action(async (job: string, _local, command: Command) => {
      const options = command.optsWithGlobals<CommonOptions & { follow?: boolean }>();
      const follow = options.follow === true;
      const lines = daemonOf(io, options).logs(job, {
        follow,
        ...(follow ? { signal: io.interruption() } : {}),
      });
      for await (const line of lines) {
        if (line !== '') io.out(`${options.json ? line : logLine(io, line)}\n`);
      }
    });
}

/**
 * Formats a line as `12:00:01 info  convert  disk converted  seconds=6.1`. A line that is not JSON is shown
 * unchanged, escaped.
 */
export function logLine(io: Pick<Io, 'paint'>, line: string): string {
  const fields = parse(line);
  if (fields === null) return terminalText(line);
  const text = (name: string) => (typeof fields[name] === 'string' ? terminalText(fields[name]) : '');
  const level = text('level');
  const style = LEVEL_STYLE[level];
  const rest = Object.entries(fields)
    .filter(([name]) => !SHOWN_APART.has(name))
    .map(([name, value]) => {
      const shown = typeof value === 'string' && /^[^\s"]+$/.test(value) ? value : JSON.stringify(value);
      return io.paint('dim', `${terminalText(name)}=`) + terminalText(shown);
    });
  const head = `${text('time').slice(11, 19)} ${style === undefined ? level.padEnd(5) : io.paint(style, level.padEnd(5))}`;
  return [head, text('stage').padEnd(8), text('msg'), ...rest].join(' ').trimEnd();
}

function parse(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    // An incomplete line from a killed daemon.
    return null;
  }
}
