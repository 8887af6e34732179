import { createHash, randomBytes } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ControlClient } from '#hyper2kvm/api/client.js';
import { sha256File } from '#hyper2kvm/files/digest.js';
import { run } from '#hyper2kvm/tools/run.js';
import { endProcesses, markedProcesses } from '../leaks.ts';
import { FAULT_MESSAGE, FAULT_VARIABLE, type FaultPlan } from './fault-plan.ts';

const CLI = fileURLToPath(new URL('../../../dist/cli.js', import.meta.url));
const INJECT = fileURLToPath(new URL('./inject.ts', import.meta.url));
const MARK = 'HYPER2KVM_FAULT_SPOOL';
const START_SECONDS = 30;
/** Keeps each notification in a file of its own, whole and durable or not at all. */
const RECEIVER =
  '#!/bin/sh\nset -e\nfile=$(mktemp "$1/XXXXXXXX")\ncat >"$file"\nsync "$file"\nmv "$file" "$file.json"\nsync "$1"\n';

/** Where the parts of a spool lie; each its own directory or mount. */
export interface Places {
  incoming: string;
  work: string;
  archive: string;
  failed: string;
  database: string;
}

/** A drop whose fate is watched: its files by name with their SHA-256, under `source/` of the result. */
export interface Watched {
  /** Of the drop and of its VM. */
  name: string;
  files: Map<string, string>;
  /** `good` converts when nothing is broken; `bad` fails whatever happens. */
  kind: 'good' | 'bad';
}

export interface StartOptions {
  fault?: Omit<FaultPlan, 'under'>;
  env?: Record<string, string>;
  /** Modules for `node --import`. */
  preload?: string[];
}

/** A spool in a directory of its own with real daemons on it, one after the other. */
export class FaultSpool {
  readonly directory: string;
  readonly places: Places;
  readonly client: ControlClient;
  readonly drops: Watched[] = [];
  /** What all daemons have logged, one JSON line each. */
  log = '';
  #daemon: { abort: AbortController; ended: Promise<string> } | null = null;
  #unit: { abort: AbortController; ended: Promise<unknown> } | null = null;

  private constructor(directory: string, places: Places) {
    this.directory = directory;
    this.places = places;
    this.client = new ControlClient(join(directory, 'control.sock'));
  }

  /**
   * `base`: an existing directory with a short path. `places`: directories that exist already, for those that
   * are mounts. `toml` is added to the configuration.
   */
  static async create(base: string, toml = '', places: Partial<Places> = {}): Promise<FaultSpool> {
    const directory = await mkdtemp(join(base, 'h2kf-'));
    const at = (name: string) => join(directory, name);
    const all: Places = {
      incoming: at('incoming'),
      work: at('work'),
      archive: at('archive'),
      failed: at('failed'),
      database: at('queue.db'),
      ...places,
    };
    const { database, ...spool } = all;
    for (const path of [...Object.values(spool), at('tmp'), at('told')])
      await mkdir(path, { recursive: true });
    await writeFile(at('receiver'), RECEIVER, { mode: 0o755 });
    const command = JSON.stringify([at('receiver'), at('told')]);
    const receiver = `[[notify.commands]]\nname = "told"\nevents = ["converted", "failed"]\ncommand = ${command}\n`;
    const lines = Object.entries(spool).map(([name, path]) => `${name} = ${JSON.stringify(path)}`);
    await writeFile(
      at('config.toml'),
      `[spool]\n${lines.join('\n')}\n[state]\ndatabase = ${JSON.stringify(database)}\n` +
        `[control]\nsocket = ${JSON.stringify(at('control.sock'))}\n[validate]\naccelerator = "tcg"\n` +
        (toml.includes('[watch]') ? '' : '[watch]\nsettle_seconds = 0.2\npoll_seconds = 0.5\n') +
        `${toml.includes('[retry]') ? '' : '[retry]\nbackoff_seconds = 0.1\n'}${toml}[notify]\nbackoff_seconds = 0.1\n${receiver}`,
    );
    return new FaultSpool(directory, all);
  }

  /** Notifications that were delivered, a JSON file each. */
  get told(): string {
    return join(this.directory, 'told');
  }

  get running(): boolean {
    return this.#daemon !== null;
  }

  /** How many of the faults asked for have struck. */
  get strikes(): number {
    return this.log.split(`"msg":"${FAULT_MESSAGE}"`).length - 1;
  }

  /** Starts a daemon; true when it answers, false when it ended before that. */
  async start({ fault, env = {}, preload = [] }: StartOptions = {}): Promise<boolean> {
    const abort = new AbortController();
    const modules = [...(fault === undefined ? [] : [INJECT]), ...preload];
    const imports = modules.flatMap((module) => ['--import', module]);
    const plan =
      fault === undefined ? {} : { [FAULT_VARIABLE]: JSON.stringify({ under: this.directory, ...fault }) };
    const daemon = {
      abort,
      ended: run(
        process.execPath,
        [...imports, CLI, 'daemon', '--config', join(this.directory, 'config.toml')],
        {
          signal: abort.signal,
          timeoutSeconds: 6 * 3600,
          env: { [MARK]: this.directory, TMPDIR: join(this.directory, 'tmp'), ...plan, ...env },
          onStdout: (chunk) => {
            this.log += chunk.toString('utf8');
          },
        },
      ).then(
        () => 'ended',
        (error: unknown) => (error instanceof Error ? error.message : String(error)),
      ),
    };
    this.#daemon = daemon;
    void daemon.ended.then((how) => {
      this.log += `${JSON.stringify({ msg: 'daemon gone', how })}\n`;
      if (this.#daemon === daemon) this.#daemon = null;
    });
    const end = performance.now() + START_SECONDS * 1000;
    while (this.running && performance.now() < end) {
      if (await this.client.status().catch(() => null)) return true;
      await sleep(50);
    }
    if (this.running) throw new Error(`the daemon does not answer:\n${this.log.slice(-3000)}`);
    return false;
  }

  /** Starts a fetching unit. */
  startUnit(): void {
    const abort = new AbortController();
    const args = [CLI, 'fetcher', '--config', join(this.directory, 'config.toml')];
    const ended = run(process.execPath, args, {
      signal: abort.signal,
      timeoutSeconds: 6 * 3600,
      env: { [MARK]: this.directory, TMPDIR: join(this.directory, 'tmp') },
    }).catch((error: unknown) => error);
    this.#unit = { abort, ended };
  }

  async killUnit(): Promise<void> {
    this.#unit?.abort.abort();
    await this.#unit?.ended;
  }

  /** What a daemon says that is started beside the one at work; it must end by itself. */
  async secondDaemon(): Promise<string> {
    const args = [CLI, 'daemon', '--config', join(this.directory, 'config.toml')];
    const { code, stdout, stderr } = await run(process.execPath, args, {
      okCodes: [0, 1, 2],
      timeoutSeconds: 30,
    });
    if (code === 0) throw new Error('a second daemon ended without an error');
    return stdout.toString() + stderr;
  }

  /** SIGKILL, as the machine's power would do it to a process. */
  async kill(): Promise<void> {
    const daemon = this.#daemon;
    daemon?.abort.abort();
    await daemon?.ended;
  }

  async stop(): Promise<void> {
    const daemon = this.#daemon;
    if (daemon === null) return;
    const status = await this.client.status().catch(() => null);
    if (status !== null) process.kill(status.pid, 'SIGTERM');
    const late = sleep(20_000, 'late', { ref: false });
    if ((await Promise.race([daemon.ended, late])) !== 'late') return;
    await this.kill();
    throw new Error(`the daemon does not stop:\n${this.log.slice(-3000)}`);
  }

  /** Processes of any daemon on this spool. */
  processes(): ReturnType<typeof markedProcesses> {
    return markedProcesses(MARK, this.directory);
  }

  /** A data disk: `bytes` long, a MiB of it random. Appears whole, its job.toml first. */
  async drop(name: string, kind: Watched['kind'] = 'good', bytes = 4 * 1024 ** 2): Promise<Watched> {
    const data = randomBytes(Math.min(bytes, 1024 ** 2));
    const content = Buffer.alloc(kind === 'bad' ? bytes + 1 : bytes);
    data.copy(content);
    const options = 'kind = "data"\n';
    const part = join(this.directory, 'tmp', `${name}.part`);
    await writeFile(join(this.places.incoming, `${name}.job.toml`), options);
    await writeFile(part, content);
    await copyFile(part, join(this.places.incoming, `${name}.raw.part`));
    await rename(join(this.places.incoming, `${name}.raw.part`), join(this.places.incoming, `${name}.raw`));
    await rm(part);
    const files = new Map([
      [`${name}.raw`, sha256(content)],
      [`${name}.job.toml`, sha256(Buffer.from(options))],
    ]);
    const watched = { name, files, kind } satisfies Watched;
    this.drops.push(watched);
    return watched;
  }

  /** A copy of `file`, which can be converted, as `NAME.EXTENSION`. */
  async dropFile(name: string, file: string): Promise<void> {
    const final = `${name}${extname(file)}`;
    await run('cp', ['--sparse=always', '--reflink=auto', file, join(this.places.incoming, `${final}.part`)]);
    await rename(join(this.places.incoming, `${final}.part`), join(this.places.incoming, final));
    this.drops.push({ name, kind: 'good', files: new Map([[final, await sha256File(file)]]) });
  }

  async destroy(): Promise<void> {
    await this.kill();
    await this.killUnit();
    endProcesses(await this.processes());
    for (const path of [this.directory, ...Object.values(this.places)])
      await rm(path, { recursive: true, force: true });
  }
}

function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}
