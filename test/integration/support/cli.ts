import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../../dist/cli.js', import.meta.url));

export interface Ended {
  code: number | null;
  out: string;
  err: string;
}

/** Runs the built program as a user does. `onOutput` sees what there is so far, and may send a signal. */
export async function cli(
  args: readonly string[],
  options: {
    env?: Record<string, string>;
    onOutput?: (ended: Omit<Ended, 'code'>, kill: (signal: NodeJS.Signals) => void) => void;
  } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const kill = (signal: NodeJS.Signals) => void child.kill(signal);
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
    options.onOutput?.({ out, err }, kill);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
    options.onOutput?.({ out, err }, kill);
  });
  await once(child, 'close');
  return { code: child.exitCode, out, err };
}
