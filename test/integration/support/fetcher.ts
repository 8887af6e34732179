import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { exists } from '../../../src/files/exists.js';
import { type Spool, until } from './daemon.js';

const CLI = fileURLToPath(new URL('../../../dist/cli.js', import.meta.url));

/** The real fetching unit (dist/cli.js) of a spool. */
export class Fetcher {
  readonly #spool: Spool;
  readonly #env: Record<string, string>;
  #process: ChildProcess | undefined;
  log = '';

  constructor(spool: Spool, env: Record<string, string> = {}) {
    this.#spool = spool;
    this.#env = env;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  async start(): Promise<void> {
    const socket = this.#spool.path('fetch.sock');
    await rm(socket, { force: true });
    const started = spawn(process.execPath, [CLI, 'fetcher', '--config', this.#spool.path('config.toml')], {
      env: { ...process.env, ...this.#env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = started;
    for (const stream of [started.stdout, started.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.log += text;
      });
    await until(
      'the fetching unit',
      60,
      () => exists(socket),
      () => this.log,
    );
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const running = this.#process;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const ended = once(running, 'exit');
    running.kill(signal);
    await ended;
  }
}
