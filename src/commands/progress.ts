import { FREE_SLOT, type Progress } from '../engine/stage.js';
import type { PipelineEvent } from '../engine/types.js';
import type { Pass } from '../model/pass.js';
import type { StageRecord } from '../model/stage-record.js';
import { terminalText } from '../text/escape-terminal.js';
import { formatBytes, formatRate, formatSeconds } from '../text/format.js';
import { truncate } from '../text/table.js';
import type { Io } from './io.js';

const MARKS = { completed: ['green', '✓'], failed: ['red', '✕'], cancelled: ['yellow', '✕'] } as const;
const REDRAW_MILLISECONDS = 100;
const CLEAR_LINE = '\r\u001b[K';

/**
 * Prints the pipeline's events as lines on stderr: one for each finished stage, and on a terminal a live line
 * below for the running stage. `end` removes the live line.
 */
export function createProgress(
  io: Io,
  options: { silent: boolean },
): { event(event: PipelineEvent): void; end(): void } {
  if (options.silent) return { event: () => {}, end: () => {} };
  let live = false;
  let drawn = 0;
  const clear = () => {
    if (live) io.err(CLEAR_LINE);
    live = false;
  };
  const line = (text: string) => {
    clear();
    io.err(`${text}\n`);
  };
  const draw = (text: string, force = false) => {
    if (!io.errIsTerminal || (!force && Date.now() - drawn < REDRAW_MILLISECONDS)) return;
    drawn = Date.now();
    io.err(CLEAR_LINE + truncate(text, io.columns() - 1));
    live = true;
  };
  return {
    event(event) {
      switch (event.type) {
        case 'stage-started':
          if (!io.errIsTerminal) line(`  ${event.stage} …`);
          return draw(`  ${event.stage}`, true);
        case 'stage-waiting':
          return draw(`  ${event.stage.padEnd(9)} waiting for ${FREE_SLOT[event.lane]}`, true);
        case 'stage-advanced':
          return;
        case 'progress':
          return draw(liveText(event.stage, event.progress));
        case 'stage-retry':
          return line(
            `${io.paintErr('yellow', '!')} ${event.stage.padEnd(9)} ${terminalText(event.error.message)}; again in ${formatSeconds(event.waitSeconds)}`,
          );
        case 'stage-finished':
          return line(finishedText(io, event.record));
        case 'pass-started':
          return line(passText(io, event.number, event.pass));
      }
    },
    end: clear,
  };
}

function liveText(stage: string, { percent, bytesPerSecond, etaSeconds, step }: Progress): string {
  const rate = bytesPerSecond === undefined ? '' : `${formatRate(bytesPerSecond)} MB/s`;
  const left = etaSeconds === undefined ? '' : `${formatSeconds(etaSeconds)} left`;
  const parts = [
    `${String(Math.floor(percent)).padStart(3)} %`,
    rate,
    left,
    step === undefined ? '' : terminalText(step),
  ];
  return `  ${stage.padEnd(9)} ${parts.filter((part) => part !== '').join('  ')}`;
}

function passText(io: Io, number: number, { reason, options }: Pass): string {
  const changed = Object.entries(options).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  const how = changed.length === 0 ? '' : ` (${terminalText(changed.join(', '))})`;
  return `${io.paintErr('yellow', '!')} attempt ${number}: ${terminalText(reason ?? '')}${how}`;
}

function finishedText(io: Io, record: StageRecord): string {
  const name = record.stage.padEnd(9);
  if (record.status === 'skipped') return io.paintErr('dim', `- ${name} skipped`);
  const [style, mark] = MARKS[record.status as keyof typeof MARKS] ?? ['dim', '·'];
  const written = record.bytes_written > 0 ? `${formatBytes(record.bytes_written)} written` : '';
  const parts = [formatSeconds(record.seconds).padStart(12), written];
  return `${io.paintErr(style, mark)} ${name} ${parts.join('  ').trimEnd()}`;
}
