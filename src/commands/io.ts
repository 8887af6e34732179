import { styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

/** A command's access to its environment: its outputs, their form, and when to stop. */
export interface Io {
  /** Prints results. */
  out(text: string): void;
  /** Prints progress and errors. */
  err(text: string): void;
  /** Colours `text` if stdout is a terminal that supports it. The text must already be escaped. */
  paint(style: Style, text: string): string;
  paintErr(style: Style, text: string): string;
  outIsTerminal: boolean;
  errIsTerminal: boolean;
  /** Columns of the terminal; 80 without one. */
  columns(): number;
  env: Readonly<Record<string, string | undefined>>;
  /** Aborts at the first SIGINT or SIGTERM, once a command has called this. */
  interruption(): AbortSignal;
  exitCode: number;
}

interface Stream {
  write(text: string): unknown;
  isTTY?: boolean | undefined;
  columns?: number | undefined;
}

/**
 * Colours need a terminal, and neither $NO_COLOR (https://no-color.org: set and not empty) nor `TERM=dumb`.
 * Only a command that cleans up uses `interruption`; the others end at a signal as usual.
 */
export function createIo(stdout: Stream, stderr: Stream, env: Io['env']): Io {
  const colours = (stream: Stream) => stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
  const painter = (stream: Stream) => (style: Style, text: string) =>
    colours(stream) ? styleText(style, text, { validateStream: false }) : text;
  let interruption: AbortController | null = null;
  return {
    out: (text) => void stdout.write(text),
    err: (text) => void stderr.write(text),
    paint: painter(stdout),
    paintErr: painter(stderr),
    outIsTerminal: stdout.isTTY === true,
    errIsTerminal: stderr.isTTY === true,
    columns: () => stdout.columns || Number(env.COLUMNS) || 80,
    env,
    interruption() {
      if (interruption === null) {
        const controller = new AbortController();
        interruption = controller;
        for (const signal of ['SIGINT', 'SIGTERM'] as const) {
          process.once(signal, () => {
            controller.abort(new Error(`interrupted by ${signal}`));
            // The second one does not wait for the clean-up.
            process.once(signal, () => process.exit(130));
          });
        }
      }
      return interruption.signal;
    },
    exitCode: 0,
  };
}
