import type { Command } from 'commander';
import type { Status } from '../api/protocol.js';
import { terminalText } from '../text/escape-terminal.js';
import { formatTime } from '../text/format.js';
import { wrap } from '../text/table.js';
import { type CommonOptions, daemonOf, newCommand, printJson } from './command.js';
import type { Io } from './io.js';
import { jobTable } from './job-table.js';

const NAME_WIDTH = 12;

export function statusCommand(io: Io): Command {
  return newCommand(io, {
    usage: 'status',
    summary: 'show what the daemon is doing',
    examples: ['hyper2kvm status', "hyper2kvm status --json | jq '.jobs'"],
  }).action(async (_local, command: Command) => {
    const options = command.optsWithGlobals<CommonOptions>();
    const status = await daemonOf(io, options).status();
    if (options.json) return printJson(io, status);
    io.out(statusText(io, status));
  });
}

function statusText(io: Io, status: Status): string {
  const { jobs, lanes } = status;
  const state =
    status.state === 'running'
      ? io.paint('green', 'running')
      : io.paint(
          'yellow',
          status.paused_reason === null ? status.state : `${status.state} (${status.paused_reason})`,
        );
  const counts = Object.entries(jobs).map(([name, count]) => `${count} ${name}`);
  const slots = Object.entries(lanes).map(([name, lane]) => {
    const waiting = lane.waiting === 0 ? '' : `, ${lane.waiting} waiting`;
    return `${name} ${lane.running}/${lane.slots}${waiting}`;
  });
  const accelerator = status.accelerator;
  const lines = [
    [
      'daemon',
      `${state}, version ${status.version}, pid ${status.pid}, since ${formatTime(status.started_at)}`,
    ],
    ['jobs', counts.join(', ')],
    ['lanes', slots.join('; ')],
    [
      'accelerator',
      accelerator === null ? 'not probed yet' : `${accelerator.kind}: ${terminalText(accelerator.reason)}`,
    ],
  ];
  const indent = ' '.repeat(NAME_WIDTH + 1);
  const head = lines
    .map(([name, value]) => {
      const [first, ...rest] = wrap(value!, io.columns(), indent) as [string, ...string[]];
      return `${[`${io.paint('dim', name!.padEnd(NAME_WIDTH))} ${first.trimStart()}`, ...rest].join('\n')}\n`;
    })
    .join('');
  return status.running.length === 0 ? head : `${head}\n${jobTable(io, status.running)}`;
}
