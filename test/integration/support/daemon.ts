import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  chown,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { JobDetail, JobSummary, Status } from '../../../src/api/protocol.js';
import { asUser, reached } from './user.js';

const CLI = fileURLToPath(new URL('../../../dist/cli.js', import.meta.url));

/**
 * A private spool with the real daemon (dist/cli.js) on it. The spool outlives the daemon, so that one can be
 * killed and another started.
 */
export class Spool {
  readonly directory: string;
  /** Id of the user that the daemon runs as; null for the test's own. */
  readonly user: number | null;
  #daemon: ChildProcess | undefined;
  #log = '';

  private constructor(directory: string, user: number | null) {
    this.directory = directory;
    this.user = user;
  }

  /**
   * `toml` is added to a configuration that settles in one second. With `user` everything is that user's, and
   * anybody may drop.
   */
  static async create(toml = '', { user = null }: { user?: number | null } = {}): Promise<Spool> {
    const spool = new Spool(await mkdtemp(join(tmpdir(), 'h2k-it-')), user);
    for (const name of ['incoming', 'work', 'archive', 'failed']) {
      await mkdir(spool.path(name));
      if (user !== null) await chown(spool.path(name), user, user);
    }
    if (user !== null) {
      await chown(spool.directory, user, user);
      await chmod(spool.directory, 0o711);
      await chmod(spool.path('incoming'), 0o777);
    }
    const at = (name: string) => JSON.stringify(spool.path(name));
    await writeFile(
      spool.path('config.toml'),
      `[spool]\nincoming = ${at('incoming')}\nwork = ${at('work')}\narchive = ${at('archive')}\nfailed = ${at('failed')}\n` +
        `[state]\ndatabase = ${at('queue.db')}\n[control]\nsocket = ${at('control.sock')}\n` +
        `${toml.includes('[watch]') ? '' : '[watch]\nsettle_seconds = 1\npoll_seconds = 1\n'}${toml}`,
    );
    return spool;
  }

  path(...parts: string[]): string {
    return join(this.directory, ...parts);
  }

  /** Everything that all daemons on this spool have logged. */
  get log(): string {
    return this.#log;
  }
  get pid(): number {
    return this.#daemon?.pid ?? 0;
  }
  get running(): boolean {
    return this.#daemon !== undefined && this.#daemon.exitCode === null && this.#daemon.signalCode === null;
  }

  /**
   * Starts the daemon; resolves when it answers on its socket. With `expectDeath` it may die before that.
   * `as`: `asUser` for another than the spool's own user.
   */
  async start(
    env: Record<string, string> = {},
    { expectDeath = false, as }: { expectDeath?: boolean; as?: readonly string[] } = {},
  ): Promise<void> {
    // The one capability that the unit gives the service.
    const own = this.user === null ? undefined : asUser(this.user, this.user, '-all,+lease');
    const setUser = as ?? own;
    const paths = [process.execPath, CLI];
    const [program, ...args] = [
      ...(setUser === undefined ? paths : [...setUser, ...paths.map(reached)]),
      ...['daemon', '--config', this.path('config.toml')],
    ];
    const daemon = spawn(program as string, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#daemon = daemon;
    for (const stream of [daemon.stdout, daemon.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#log += text;
      });
    }
    for (let tries = 0; tries < 300; tries++) {
      if (!this.running) {
        if (expectDeath) return;
        throw new Error(`the daemon ended at its start:\n${this.#log.slice(-4000)}`);
      }
      if ((await this.status().catch(() => undefined)) !== undefined) return;
      await sleep(100);
    }
    throw new Error(`the daemon does not answer:\n${this.#log.slice(-4000)}`);
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (!this.running || this.#daemon === undefined) return;
    const ended = once(this.#daemon, 'exit');
    this.#daemon.kill(signal);
    await ended;
  }

  /** Resolves when the daemon has died by itself. */
  async died(timeoutSeconds: number): Promise<void> {
    await until(
      `the daemon to die`,
      timeoutSeconds,
      async () => !this.running,
      () => this.#log.slice(-3000),
    );
  }

  /** Copies under a name that is no drop, then renames into place, as a careful user does. */
  async drop(file: string, name = basename(file)): Promise<void> {
    await copyFile(file, this.path('incoming', `${name}.part`));
    await rename(this.path('incoming', `${name}.part`), this.path('incoming', name));
  }

  status = () => this.get<Status>('/v1/status');
  jobs = () => this.get<JobSummary[]>('/v1/jobs');
  job = (id: string) => this.get<JobDetail>(`/v1/jobs/${encodeURIComponent(id)}`);

  get<T>(path: string): Promise<T> {
    return this.#ask<T>('GET', path);
  }
  post<T>(path: string, body: unknown = {}): Promise<T> {
    return this.#ask<T>('POST', path, JSON.stringify(body));
  }

  #ask<T>(method: string, path: string, body?: string): Promise<T> {
    return new Promise((resolve, reject) => {
      const asked = request(
        // No kept connection: while a test builds images, the daemon closes an idle one.
        { socketPath: this.path('control.sock'), method, path, timeout: 20_000, agent: false },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (part: string) => {
            text += part;
          });
          response.on('end', () => {
            if ((response.statusCode ?? 500) >= 400) reject(new Error(text));
            else resolve(JSON.parse(text) as T);
          });
        },
      );
      asked
        .on('error', reject)
        .on('timeout', () => asked.destroy(new Error('the control socket does not answer')));
      asked.end(body);
    });
  }

  /**
   * Waits until a job (of a VM, or any) is as `wanted`. Fails at once when a job fails that nobody expected
   * to.
   */
  async waitForJob(
    wanted: (job: JobSummary) => boolean,
    timeoutSeconds: number,
    { mayFail = false } = {},
  ): Promise<JobSummary> {
    let found: JobSummary | undefined;
    await until(
      'a job to get there',
      timeoutSeconds,
      async () => {
        const jobs = await this.jobs();
        found = jobs.find(wanted);
        const failed = jobs.find((job) => job.state === 'failed');
        if (found === undefined && failed !== undefined && !mayFail) {
          throw new Error(`job failed: ${JSON.stringify(failed.error)}\n${this.#log.slice(-4000)}`);
        }
        return found !== undefined;
      },
      () => this.#log.slice(-4000),
    );
    return found as JobSummary;
  }

  /** Bundles or failures, newest directory level resolved: `<date>/<vm>-<job>`. */
  async results(kind: 'archive' | 'failed'): Promise<string[]> {
    const found: string[] = [];
    for (const date of (await readdir(this.path(kind))).sort()) {
      for (const name of (await readdir(this.path(kind, date))).sort())
        found.push(this.path(kind, date, name));
    }
    return found;
  }

  /** Stopped, not killed: a daemon that is killed leaves scratch, for the next one to sweep. */
  async destroy(): Promise<void> {
    await this.kill('SIGTERM');
    await rm(this.directory, { recursive: true, force: true });
  }
}

export async function readJson<T>(file: string): Promise<T> {
  return JSON.parse(await readFile(file, 'utf8')) as T;
}

export async function until(
  what: string,
  timeoutSeconds: number,
  check: () => Promise<boolean>,
  context: () => string = () => '',
): Promise<void> {
  const end = performance.now() + timeoutSeconds * 1000;
  while (!(await check())) {
    if (performance.now() > end) throw new Error(`waited ${timeoutSeconds} s for ${what}\n${context()}`);
    await sleep(200);
  }
}

/** Command lines of running processes that name `text` in an argument: tools of ours, on a spool of ours. */
export async function processesNaming(text: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes(text)) found.push(`${pid} ${command.replaceAll('\0', ' ').slice(0, 200)}`);
  }
  return found;
}
