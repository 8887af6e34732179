import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';
import pino, { type DestinationStream, type Level, type Logger, stdTimeFunctions } from 'pino';
import { prettyFactory } from 'pino-pretty';
import { isErrorCode } from '../errors/errno.js';

export type LogForm = 'journal' | 'terminal' | 'json';

/** syslog(3) priorities by pino level, which `journalctl -p` filters by. */
const PRIORITIES: readonly [number, number][] = [
  [60, 2],
  [50, 3],
  [40, 4],
  [30, 6],
  [0, 7],
];

function priorityOf(level: number): number {
  return PRIORITIES.find(([least]) => level >= least)?.[1] ?? 7;
}

/**
 * Returns how lines are written to file descriptor 1. `auto`: the journal's form if systemd connected stdout
 * to the journal (systemd.exec(5): $JOURNAL_STREAM holds the device and inode of that socket), a readable
 * form on a terminal, plain NDJSON into a pipe or file.
 */
export function logForm(
  wanted: LogForm | 'auto',
  facts: {
    journalStream: string | undefined;
    stdout: { dev: number; ino: number } | null;
    terminal: boolean;
  },
): LogForm {
  if (wanted !== 'auto') return wanted;
  const { journalStream, stdout } = facts;
  if (journalStream !== undefined && stdout !== null && journalStream === `${stdout.dev}:${stdout.ino}`)
    return 'journal';
  return facts.terminal ? 'terminal' : 'json';
}

function stdoutIdentity(): { dev: number; ino: number } | null {
  try {
    const { dev, ino } = fstatSync(1);
    return { dev, ino };
  } catch {
    // stdout may be closed: a daemon may be started without one.
    return null;
  }
}

/** Writes one NDJSON line as pino made it, with its level. */
export type LineWriter = (line: string, level: number) => void;

/**
 * Writes whole lines to descriptor 1, synchronously, so that nothing is lost if the process is killed right
 * after.
 */
export function stdoutWriter(form: LogForm, write: (text: string) => void = writeToStdout): LineWriter {
  if (form === 'journal') return (line, level) => write(`<${priorityOf(level)}>${line}`);
  if (form === 'json') return (line) => write(line);
  const pretty = prettyFactory({
    colorize: process.stdout.isTTY === true && process.env.NO_COLOR === undefined,
    translateTime: 'SYS:HH:MM:ss',
    singleLine: true,
  });
  return (line) => write(pretty(line));
}

function writeToStdout(text: string): void {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      // The pipe is full because its reader is slow; a short wait is better than a lost line.
      if (isErrorCode(error, 'EAGAIN')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      // The reader is gone (EPIPE) or never existed (EBADF): the daemon continues without its log.
      else if (isErrorCode(error, 'EPIPE', 'EBADF')) return;
      else throw error;
    }
  }
}

function lineStream(writers: readonly LineWriter[]): DestinationStream {
  return {
    // With this, pino sets `lastLevel` before each write.
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 30,
    write(line: string) {
      for (const writer of writers) writer(line, this.lastLevel);
    },
  } as DestinationStream & { lastLevel: number };
}

/**
 * Creates lines of the common form:
 * `{"level":"info","time":"2026-01-31T12:00:00.000Z","job":…,"stage":…,"msg":…}`.
 */
function pinoOn(level: Level, writers: readonly LineWriter[]): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    lineStream(writers),
  );
}

/** The process's log. `setLevel` applies at once to every logger made by it (SIGHUP). */
export interface LogRoot {
  logger: Logger;
  setLevel(level: Level): void;
  /**
   * Returns a logger that also writes every line from `debug` on to `file` (NDJSON), whatever the level of
   * stdout.
   */
  jobLogger(file: string, bindings: Record<string, unknown>): { logger: Logger; close(): void };
}

export function createLog(options: { level: Level; form?: LogForm | 'auto'; writer?: LineWriter }): LogRoot {
  let least = pino.levels.values[options.level] ?? 30;
  const form = logForm(options.form ?? 'auto', {
    journalStream: process.env.JOURNAL_STREAM,
    stdout: stdoutIdentity(),
    terminal: process.stdout.isTTY === true,
  });
  const writer = options.writer ?? stdoutWriter(form);
  const toStdout: LineWriter = (line, level) => {
    if (level >= least) writer(line, level);
  };
  const logger = pinoOn('trace', [toStdout]);
  return {
    logger,
    setLevel(level) {
      least = pino.levels.values[level] ?? least;
    },
    jobLogger(file, bindings) {
      const descriptor = openSync(file, 'a', 0o640);
      let broken = false;
      let closed = false;
      const toFile: LineWriter = (line) => {
        if (broken || closed) return;
        try {
          writeSync(descriptor, line);
        } catch (err) {
          // Logged once: a full disk must not stop the job because of its log, and each further line would
          // fail in the same way.
          broken = true;
          logger.error({ ...bindings, file, err }, 'job log cannot be written');
        }
      };
      return {
        logger: pinoOn('debug', [toStdout, toFile]).child(bindings),
        close() {
          if (closed) return;
          closed = true;
          closeSync(descriptor);
        },
      };
    },
  };
}
