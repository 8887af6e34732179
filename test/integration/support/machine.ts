import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../../../src/tools/run.js';
import { until } from './daemon.js';

const REPOSITORY = fileURLToPath(new URL('../../..', import.meta.url));
const UNIT = 'hyper2kvm.service';

/** One line of the journal as `journalctl -o json` gives it. */
export interface JournalEntry {
  MESSAGE: string;
  PRIORITY: string;
  __MONOTONIC_TIMESTAMP: string;
  _UID?: string;
}

/**
 * Real systemd on an overlay of this host's root, with the unit, its user and its directories installed as on any machine. Only what the unit needs is
 * started beside it. Needs root.
 */
export class Machine {
  /** The machine's /var/spool/hyper2kvm, from outside. */
  readonly spool: string;
  readonly #base: string;
  readonly #root: string;
  #nspawn: ChildProcess | undefined;
  #leader = 0;
  #console = '';

  private constructor(base: string) {
    this.#base = base;
    this.#root = join(base, 'overlay', 'root');
    this.spool = join(base, 'spool');
  }

  /** `dropIn`: lines for the unit's [Service]; `toml`: its configuration. */
  static async boot(settings: { dropIn: string; toml: string }): Promise<Machine> {
    const machine = new Machine(mkdtempSync(join(tmpdir(), 'h2k-machine-')));
    try {
      await machine.#install(settings);
      await machine.#start();
      return machine;
    } catch (error) {
      await machine.destroy();
      throw error;
    }
  }

  async #install({ dropIn, toml }: { dropIn: string; toml: string }): Promise<void> {
    const overlay = join(this.#base, 'overlay');
    for (const directory of [overlay, this.spool]) mkdirSync(directory);
    await run('mount', ['-t', 'tmpfs', 'tmpfs', overlay]);
    for (const name of ['upper', 'work', 'root']) mkdirSync(join(overlay, name));
    const layers = `lowerdir=/,upperdir=${overlay}/upper,workdir=${overlay}/work`;
    await run('mount', ['-t', 'overlay', 'overlay', '-o', layers, this.#root]);

    const unitDirectory = this.#inside('etc/systemd/system');
    const source = (name: string) => join(REPOSITORY, 'systemd', name);
    copyFileSync(source(UNIT), join(unitDirectory, UNIT));
    mkdirSync(join(unitDirectory, `${UNIT}.d`));
    writeFileSync(join(unitDirectory, `${UNIT}.d`, 'test.conf'), `[Service]\n${dropIn}\n`);
    const target = `[Unit]\nRequires=basic.target\nWants=${UNIT}\nAfter=basic.target\nAllowIsolate=yes\n`;
    writeFileSync(join(unitDirectory, 'h2k-test.target'), target);
    rmSync(join(unitDirectory, 'default.target'), { force: true });
    symlinkSync('h2k-test.target', join(unitDirectory, 'default.target'));
    copyFileSync(source('hyper2kvm.sysusers.conf'), join(this.#inside('etc/sysusers.d'), 'hyper2kvm.conf'));
    copyFileSync(source('hyper2kvm.tmpfiles.conf'), join(this.#inside('etc/tmpfiles.d'), 'hyper2kvm.conf'));
    this.configure(toml);
    const program = join(this.#inside('usr/bin'), 'hyper2kvm');
    writeFileSync(program, `#!/bin/sh\nexec ${process.execPath} /opt/hyper2kvm/dist/cli.js "$@"\n`);
    chmodSync(program, 0o755);
    await run('systemd-sysusers', [`--root=${this.#root}`, 'hyper2kvm.conf']);
    rmSync(join(this.#root, 'etc/machine-id'), { force: true });
    this.#inside('var/log/journal');
  }

  #inside(directory: string): string {
    const path = join(this.#root, directory);
    mkdirSync(path, { recursive: true });
    return path;
  }

  configure(toml: string): void {
    writeFileSync(join(this.#inside('etc/hyper2kvm'), 'config.toml'), toml);
  }

  async #start(): Promise<void> {
    const binds = [`--bind-ro=${REPOSITORY}:/opt/hyper2kvm`, `--bind=${this.spool}:/var/spool/hyper2kvm`];
    const nspawn = spawn(
      'systemd-nspawn',
      ['-q', '-D', this.#root, '--boot', '--register=no', '--keep-unit', '--console=pipe', ...binds],
      { stdio: ['ignore', 'pipe', 'pipe'], detached: true },
    );
    this.#nspawn = nspawn;
    for (const stream of [nspawn.stdout, nspawn.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#console += text;
      });
    }
    await until(
      'the machine to boot',
      60,
      async () => {
        if (nspawn.exitCode !== null) throw new Error(`systemd-nspawn ended:\n${this.#console}`);
        this.#leader = childOf(nspawn.pid ?? 0);
        return this.#leader !== 0 && (await this.property('ActiveState')) === 'active';
      },
      () => this.#console.slice(-3000),
    );
  }

  /** Runs a program in the machine, as its root. */
  async inside(...command: string[]): Promise<{ stdout: string; code: number }> {
    const { stdout, code } = await run('nsenter', ['-t', String(this.#leader), '-a', '--', ...command], {
      okCodes: [0, 1, 3, 4],
    });
    return { stdout: stdout.toString(), code };
  }

  async property(name: string): Promise<string> {
    return (await this.inside('systemctl', 'show', '--value', '-p', name, UNIT)).stdout.trim();
  }

  async journal(...filter: string[]): Promise<JournalEntry[]> {
    const { stdout } = await this.inside('journalctl', '-u', UNIT, '-o', 'json', '--no-pager', ...filter);
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as JournalEntry);
  }

  async destroy(): Promise<void> {
    const nspawn = this.#nspawn;
    if (nspawn?.exitCode === null && nspawn.pid !== undefined) {
      const ended = once(nspawn, 'exit');
      // systemd-nspawn ends the machine with itself.
      process.kill(-nspawn.pid, 'SIGKILL');
      await ended;
    }
    for (const path of [this.#root, join(this.#base, 'overlay')]) {
      await run('umount', ['--lazy', path], { okCodes: [0, 1, 32] });
    }
    rmSync(this.#base, { recursive: true, force: true });
  }
}

function childOf(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  const [child] = readdirSync(tasks).flatMap((task) =>
    readFileSync(join(tasks, task, 'children'), 'utf8')
      .split(' ')
      .filter((word) => word !== ''),
  );
  return Number(child ?? 0);
}
