import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../../src/tools/run.js';
import { until } from './daemon.js';

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * A writable overlay of `lower` at `base`/overlay/root, its changes in memory. Unmounted by `unmountOverlay`.
 */
export async function mountOverlay(base: string, lower: string): Promise<string> {
  const overlay = join(base, 'overlay');
  mkdirSync(overlay);
  await run('mount', ['-t', 'tmpfs', 'tmpfs', overlay]);
  for (const name of ['upper', 'work', 'root']) mkdirSync(join(overlay, name));
  const layers = `lowerdir=${lower},upperdir=${overlay}/upper,workdir=${overlay}/work`;
  await run('mount', ['-t', 'overlay', 'overlay', '-o', layers, join(overlay, 'root')]);
  return join(overlay, 'root');
}

export async function unmountOverlay(base: string): Promise<void> {
  for (const path of [join(base, 'overlay/root'), join(base, 'overlay')]) {
    await run('umount', ['--lazy', path], { okCodes: [0, 1, 32] });
  }
}

/** A booted systemd-nspawn container. Needs root. */
export class Nspawn {
  readonly #process: ChildProcess;
  #leader = 0;
  #console = '';

  private constructor(root: string, binds: readonly string[]) {
    this.#process = spawn(
      'systemd-nspawn',
      ['-q', '-D', root, '--boot', '--register=no', '--keep-unit', '--console=pipe', ...binds],
      { stdio: ['ignore', 'pipe', 'pipe'], detached: true },
    );
    for (const stream of [this.#process.stdout!, this.#process.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#console += text;
      });
    }
  }

  /** Resolves when `isReady`, which is asked as soon as there is a PID 1. */
  static async boot(
    root: string,
    binds: readonly string[],
    isReady: (nspawn: Nspawn) => Promise<boolean>,
  ): Promise<Nspawn> {
    const nspawn = new Nspawn(root, binds);
    const child = nspawn.#process;
    try {
      await until(
        'the machine to boot',
        60,
        async () => {
          if (child.exitCode !== null) throw new Error(`systemd-nspawn ended:\n${nspawn.#console}`);
          nspawn.#leader = childOf(child.pid ?? 0);
          return nspawn.#leader !== 0 && (await isReady(nspawn));
        },
        () => nspawn.#console.slice(-3000),
      );
      return nspawn;
    } catch (error) {
      await nspawn.stop();
      throw error;
    }
  }

  /** Runs a program in the machine, as its root. */
  async inside(...command: string[]): Promise<{ stdout: string; stderr: string; code: number }> {
    const { stdout, stderr, code } = await run(
      'nsenter',
      // This host's environment names directories that are not there ($TMPDIR).
      ['-t', String(this.#leader), '-a', '--', 'env', '-i', `PATH=${PATH}`, 'HOME=/root', ...command],
      { okCodes: [0, 1, 2, 3, 4, 100] },
    );
    return { stdout: stdout.toString(), stderr, code };
  }

  async stop(): Promise<void> {
    const child = this.#process;
    if (child.exitCode !== null || child.pid === undefined) return;
    const ended = once(child, 'exit');
    process.kill(-child.pid, 'SIGKILL');
    await ended;
    if (this.#leader === 0) return;
    // A killed systemd-nspawn leaves the machine running; without its first process all of it ends.
    try {
      process.kill(this.#leader, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
    await until('the machine to end', 10, async () => !existsSync(`/proc/${this.#leader}`));
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
