import stringWidth from 'string-width';
import type { JobState, JobSummary } from '../api/protocol.js';
import { DAY_SECONDS } from '../host/durations.js';
import { terminalText } from '../text/escape-terminal.js';
import { bootVerdict, formatRate } from '../text/format.js';
import { type Column, tableLines, wrap } from '../text/table.js';
import type { Io } from './io.js';

/** Fixed widths except for the name, so that `list -w` does not jump. */
const COLUMNS: readonly Column[] = [
  { title: 'JOB', min: 13, max: 13 },
  { title: 'VM', min: 4, max: 14 },
  { title: 'STATE', min: 9, max: 9 },
  { title: 'STAGE', min: 8, max: 8 },
  { title: '%', align: 'right', min: 3, max: 3 },
  { title: 'MB/s', align: 'right', min: 5, max: 5 },
  { title: 'ETA', align: 'right', min: 6, max: 6 },
  { title: 'WAITING FOR' },
];
const NOTE = COLUMNS.length - 1;
const STATE_STYLE = {
  waiting: 'dim',
  parked: 'cyan',
  queued: 'dim',
  running: 'cyan',
  converted: 'green',
  failed: 'red',
  cancelled: 'yellow',
} as const satisfies Record<JobState, string>;

/**
 * Returns one line for each job, never wider than the terminal. What a job waits for (for a failed job the
 * error, for a converted one whether it booted with warnings) is in the last column if it fits, otherwise
 * complete on separate lines below.
 */
export function jobTable(io: Io, jobs: readonly JobSummary[]): string {
  const width = io.columns();
  const notes = jobs.map((job) => terminalText(noteOf(job)));
  const rows = jobs.map((job) => [
    job.job === '' ? '-' : job.job,
    terminalText(job.vm),
    job.state,
    job.stage ?? '',
    job.percent === null ? '' : String(Math.floor(job.percent)),
    job.bytes_per_second === null ? '' : formatRate(job.bytes_per_second),
    job.eta_seconds === null ? '' : shortTime(job.eta_seconds),
    '',
  ]);
  const decorate = (cell: string, row: number, column: number) =>
    column === 2 ? io.paint(STATE_STYLE[jobs[row]!.state], cell) : cell;
  const [head, ...lines] = tableLines(COLUMNS, rows, { decorate }) as [string, ...string[]];
  const plain = tableLines(
    COLUMNS.slice(0, NOTE),
    rows.map((row) => row.slice(0, NOTE)),
  );
  const noteAt = stringWidth(head) - COLUMNS[NOTE]!.title.length;
  const body = lines.flatMap((line, index) => {
    const note = notes[index]!;
    if (note === '') return [line];
    const used = stringWidth(plain[index + 1]!);
    if (noteAt + stringWidth(note) <= width) return [`${line}${' '.repeat(noteAt - used)}${note}`];
    return [line, ...wrap(note, width, '    ')];
  });
  return `${[io.paint('bold', head), ...body].join('\n')}\n`;
}

function noteOf({ waiting_for, error, boot }: JobSummary): string {
  const booted = boot !== null && boot.warnings.length > 0 ? bootVerdict(boot) : '';
  return waiting_for ?? error?.code ?? booted;
}

/** At most six columns: `45s`, `12m30s`, `3h05m`, `4d`. */
export function shortTime(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, '0')}s`;
  if (whole < DAY_SECONDS)
    return `${Math.floor(whole / 3600)}h${String(Math.floor((whole % 3600) / 60)).padStart(2, '0')}m`;
  return `${Math.floor(whole / DAY_SECONDS)}d`;
}
