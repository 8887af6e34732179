import type { Command } from 'commander';
import type { JobDetail } from '../api/protocol.js';
import type { StageRecord } from '../model/stage-record.js';
import { terminalText } from '../text/escape-terminal.js';
import { bootVerdict, formatBytes, formatSeconds, formatTime } from '../text/format.js';
import { tableLines, wrap } from '../text/table.js';
import { type CommonOptions, daemonOf, newCommand, printJson } from './command.js';
import type { Io } from './io.js';

export function showCommand(io: Io): Command {
  return newCommand(io, {
    usage: 'show <job>',
    summary: 'show one job: stages, timings, plan, boot verdict',
    description: 'Shows one job. JOB is an id, a unique prefix of one, or a VM’s name (its newest job).',
    examples: ['hyper2kvm show web01', "hyper2kvm show web01 --json | jq '.checkpoint'"],
  }).action(async (job: string, _local, command: Command) => {
    const options = command.optsWithGlobals<CommonOptions>();
    const detail = await daemonOf(io, options).job(job);
    if (options.json) return printJson(io, detail);
    io.out(showText(io, detail));
  });
}

export function showText(io: Io, job: JobDetail): string {
  const { checkpoint, error, boot, plan } = job;
  const facts: [string, string | null][] = [
    ['job', `${job.job}${job.priority === 0 ? '' : `, priority ${job.priority}`}`],
    ['vm', terminalText(job.vm)],
    ['drop', terminalText(job.drop)],
    [
      'state',
      io.paint(job.state === 'failed' ? 'red' : job.state === 'converted' ? 'green' : 'bold', job.state),
    ],
    ['waiting for', job.waiting_for === null ? null : terminalText(job.waiting_for)],
    ['created', formatTime(job.created_at)],
    ['started', job.started_at === null ? null : formatTime(job.started_at)],
    ['finished', job.finished_at === null ? null : formatTime(job.finished_at)],
    ['result', job.directory === null ? null : terminalText(job.directory)],
    [
      'resumes from',
      checkpoint.resume_from === null || job.state === 'running' ? null : checkpoint.resume_from,
    ],
    ['plan', plan === null ? null : planSummary(plan)],
    [
      'boot',
      boot === null
        ? null
        : `${bootVerdict(boot)}, level ${boot.level}, ${formatSeconds(boot.seconds)} on ${boot.accelerator.toUpperCase()}`,
    ],
    ...(boot?.warnings ?? []).map(({ code, message }): [string, string] => [
      'warning',
      terminalText(`${code}: ${message}`),
    ]),
  ];
  const lines = facts.flatMap(([name, value]) =>
    value === null ? [] : [`${io.paint('dim', name.padEnd(12))} ${value}`],
  );
  const parts = [lines.join('\n'), stageTable(io, job.stages, job)];
  if (error !== null) {
    const width = io.columns();
    const text = [error.message, error.advice, ...error.causes.map((cause) => `caused by: ${cause}`)]
      .filter((part) => part !== '')
      .flatMap((part) => wrap(terminalText(part), width, '  '));
    parts.push([io.paint('red', terminalText(error.code)), ...text].join('\n'));
  }
  return `${parts.join('\n\n')}\n`;
}

function planSummary(plan: Record<string, number>): string {
  const parts = Object.entries(plan).map(([fixer, count]) => `${fixer} ${count}`);
  return parts.length === 0 ? 'nothing to change' : terminalText(parts.join(', '));
}

const STATUS_STYLE: Record<string, 'green' | 'red' | 'cyan' | 'dim' | 'yellow'> = {
  completed: 'green',
  failed: 'red',
  running: 'cyan',
  cancelled: 'yellow',
};

function stageTable(io: Io, stages: readonly StageRecord[], job: JobDetail): string {
  const rows = stages.map((stage) => {
    const ran = stage.attempts > 0;
    const percent = stage.stage === job.stage && job.percent !== null ? ` ${Math.floor(job.percent)}%` : '';
    return [
      stage.stage,
      stage.status + percent,
      ran ? formatSeconds(stage.seconds) : '',
      ran ? String(stage.attempts) : '',
      stage.bytes_read > 0 ? formatBytes(stage.bytes_read) : '',
      stage.bytes_written > 0 ? formatBytes(stage.bytes_written) : '',
      terminalText(stage.error?.code ?? ''),
    ];
  });
  const [head, ...lines] = tableLines(
    [
      { title: 'STAGE' },
      { title: 'STATUS' },
      { title: 'TIME', align: 'right' },
      { title: 'TRIES', align: 'right' },
      { title: 'READ', align: 'right' },
      { title: 'WRITTEN', align: 'right' },
      { title: 'ERROR', max: 24 },
    ],
    rows,
    {
      gap: 2,
      decorate: (cell, row, column) =>
        column === 1 ? io.paint(STATUS_STYLE[stages[row]!.status] ?? 'dim', cell) : cell,
    },
  ) as [string, ...string[]];
  return [io.paint('bold', head), ...lines].join('\n');
}
