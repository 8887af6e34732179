import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type RunOptions, run } from '#hyper2kvm/tools/run.js';
import { cached, testCache } from '../cache.ts';
import { type Machine, type WineInstallation, wineInstallation } from './wine-installation.ts';

/** Programs of Windows that the first boot starts: each is the recorder under this name. */
export const RECORDED = ['pnputil.exe', 'netsh.exe', 'msiexec.exe'];
export const POLL_MILLISECONDS = 100;

/** A Windows of wine's, in which some programs only note that they were started (recorder.c). */
export interface Wine {
  readonly machine: Machine;
  /** Returns the host's path of a file on drive C. */
  path(...names: string[]): string;
  /** Links `C:\…\dosdevices` to a file of the host: `com9`. */
  readonly devices: string;
  /** Runs a Windows program and returns its exit code and what it printed. */
  call(args: readonly string[], options?: RunOptions): Promise<{ code: number; text: string }>;
  /** Runs a Windows program and returns what it printed. Rejects unless its exit code is good. */
  run(args: readonly string[], options?: RunOptions): Promise<string>;
  /** Returns the processes whose command line, with NULs between its words, is wanted. */
  processes(wanted: (command: string) => boolean): Promise<number[]>;
  /** Ends all processes, and returns when the registry is saved. */
  end(): Promise<void>;
  close(): Promise<void>;
}

export async function openWine(machine: Machine): Promise<Wine> {
  const installation = await wineInstallation(machine);
  await mkdir(testCache(), { recursive: true });
  const scratch = await mkdtemp(join(testCache(), '.wine-'));
  const prefix = join(scratch, 'prefix');
  // Linked, as 700 MB; but wineserver writes to the registry's files themselves if they have several names.
  await run('cp', ['-al', await prefixInCache(installation), prefix]);
  for (const name of ['system.reg', 'user.reg', 'userdef.reg']) {
    const content = await readFile(join(prefix, name));
    await rm(join(prefix, name));
    await writeFile(join(prefix, name), content);
  }
  const path = (...names: string[]) => join(prefix, 'drive_c', ...names);
  await buildForWindows(machine, join(scratch, 'recorder.exe'), [RECORDER], []);
  for (const name of RECORDED) {
    const file = path('windows', 'system32', name);
    await rm(file, { force: true });
    await copyFile(join(scratch, 'recorder.exe'), file);
  }
  await mkdir(path('codes'));
  const env = {
    ...environment(installation, prefix, scratch),
    WINEDLLOVERRIDES: `mscoree,mshtml=;${RECORDED.join(',')}=n`,
  };
  let calls = 0;
  const call = async (args: readonly string[], options: RunOptions = {}) => {
    // One for each: a program that was given up may still write.
    const output = join(scratch, `output-${++calls}`);
    const code = await runWine(installation, args, output, { timeoutSeconds: 300, ...options, env });
    return { code, text: await readFile(output, 'utf8') };
  };
  const end = () => endWine(installation, env, prefix);
  return {
    machine,
    path,
    devices: join(prefix, 'dosdevices'),
    call,
    run: async (args, options) => (await call(args, options)).text,
    processes: (wanted) => processesOf(prefix, wanted),
    end,
    async close() {
      await end();
      await rm(scratch, { recursive: true, force: true });
    },
  };
}

const RECORDER = fileURLToPath(new URL('recorder.c', import.meta.url));

/** Compiles a program for the Windows that wine is. */
export async function buildForWindows(
  machine: Machine,
  target: string,
  sources: readonly string[],
  options: readonly string[],
): Promise<void> {
  const flags = ['-std=gnu11', '-Os', '-s', '-static-libgcc', '-Wall', '-Wextra', '-Werror'];
  await run(`${machine}-w64-mingw32-gcc`, [...flags, '-o', target, ...sources, ...options]);
}

const environment = ({ env }: WineInstallation, prefix: string, temporary: string) => ({
  ...env,
  WINEPREFIX: prefix,
  WINEDEBUG: '-all',
  WINEDLLOVERRIDES: 'mscoree,mshtml=',
  DISPLAY: '',
  // wine leaves files of its own there when it is killed.
  TMPDIR: temporary,
});

type Environment = ReturnType<typeof environment>;

/** wine's services hold what the first program of all had for stdout, so that is a file and not a pipe. */
async function runWine(
  installation: WineInstallation,
  args: readonly string[],
  output: string,
  options: RunOptions & { env: Environment },
): Promise<number> {
  // Else Windows ends, with its services, whenever no other program runs. 2: it runs already.
  options.signal?.throwIfAborted();
  await callServer(installation, options.env, '-p');
  const script = 'output=$1; shift; exec "$@" >"$output" 2>&1';
  const { code } = await run('sh', ['-c', script, 'sh', output, ...installation.wine, ...args], options);
  return code;
}

async function callServer({ server }: WineInstallation, env: Environment, option: string): Promise<void> {
  // The server itself goes on, and would hold a pipe open.
  const script = 'exec "$@" >/dev/null 2>&1';
  await run('sh', ['-c', script, 'sh', ...server, option], { env, okCodes: [0, 1, 2] });
}

async function endWine(installation: WineInstallation, env: Environment, prefix: string): Promise<void> {
  // Again: a call of a test that was given up may have started another server meanwhile.
  for (;;) {
    await callServer(installation, env, '-k');
    if ((await processesOf(prefix, () => true)).length === 0) return;
    await sleep(POLL_MILLISECONDS);
  }
}

async function prefixInCache(installation: WineInstallation): Promise<string> {
  return cached(installation.name, async (scratch) => {
    const prefix = join(scratch, 'prefix');
    await mkdir(prefix);
    const env = environment(installation, prefix, scratch);
    const options = { env, timeoutSeconds: 600 };
    try {
      await runWine(installation, ['wineboot', '-i'], join(scratch, 'output'), options);
    } finally {
      await endWine(installation, env, prefix);
    }
    return prefix;
  });
}

async function processesOf(prefix: string, wanted: (command: string) => boolean): Promise<number[]> {
  const found: number[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    // It may end meanwhile, and is then none.
    const [command, variables] = await Promise.all(
      ['cmdline', 'environ'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')),
    );
    if (variables?.split('\0').includes(`WINEPREFIX=${prefix}`) && wanted(command ?? ''))
      found.push(Number(pid));
  }
  return found;
}
