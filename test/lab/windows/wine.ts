import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type RunOptions, run } from '#hyper2kvm/tools/run.js';
import { cached, testCache } from '../cache.ts';

const WINE = '/usr/lib/wine/wine64';
const SERVER = '/usr/lib/wine/wineserver64';
const SERVICE = 'hyper2kvm-firstboot';
/** Programs of Windows that the first boot starts: each is the recorder under this name. */
const RECORDED = ['pnputil.exe', 'netsh.exe', 'msiexec.exe'];
const POLL_MILLISECONDS = 100;

/** A Windows of wine's with the first-boot program, in which the programs that it starts only note that. */
export interface Wine {
  /** The host's path of a file on drive C. */
  path(...names: string[]): string;
  /** Puts the program with this plan in place, without any state, and makes the service. */
  install(plan: string): Promise<void>;
  /** Starts the service and returns when the log has a line with this text since then. */
  start(until: string): Promise<string>;
  /** Lets the part of the program that writes an adapter's registry do so by the first step of this plan. */
  writeInterface(plan: string): Promise<void>;
  /** Runs a Windows program and returns what it printed. */
  run(args: readonly string[], options?: RunOptions): Promise<string>;
  /**
   * Kills the service once so many programs are recorded (the log names each before it starts), waits until what the
   * service had started is gone, too, and then ends this Windows.
   */
  kill(afterPrograms: number): Promise<void>;
  /** What was started, a command line each. */
  recorded(): Promise<string[]>;
  log(): Promise<string>;
  close(): Promise<void>;
}

/** Where the program and its files are. */
export const HERE = ['fb'];

export async function openWine(): Promise<Wine> {
  const scratch = await mkdtemp(join(testCache(), '.wine-'));
  const prefix = join(scratch, 'prefix');
  // Linked, as 700 MB; but wineserver writes to the registry's files themselves if they have several names.
  await run('cp', ['-al', await prefixInCache(), prefix]);
  for (const name of ['system.reg', 'user.reg', 'userdef.reg']) {
    const content = await readFile(join(prefix, name));
    await rm(join(prefix, name));
    await writeFile(join(prefix, name), content);
  }
  const path = (...names: string[]) => join(prefix, 'drive_c', ...names);
  await buildRecorder(join(scratch, 'recorder.exe'));
  for (const name of RECORDED) {
    const file = path('windows', 'system32', name);
    await rm(file, { force: true });
    await copyFile(join(scratch, 'recorder.exe'), file);
  }
  await mkdir(path('codes'));
  const env = {
    WINEPREFIX: prefix,
    WINEDEBUG: '-all',
    WINEDLLOVERRIDES: `mscoree,mshtml=;${RECORDED.join(',')}=n`,
    DISPLAY: '',
    // wine leaves files of its own there when it is killed.
    TMPDIR: scratch,
  };
  const output = join(scratch, 'output');
  const wine = async (args: readonly string[], options: RunOptions = {}) => {
    await runWine(args, output, { timeoutSeconds: 300, ...options, env });
    return readFile(output, 'utf8');
  };
  const end = () => endWine(env);
  const recorded = async () => {
    const text = await readFile(path('recorded.txt'), 'utf8').catch(() => '');
    return text.split(/\r?\n/).flatMap((line) => line.split('\t')[1]?.trim() ?? []);
  };
  const killService = async () => {
    const pids = await programs(prefix, (command) => !command.includes('--step'));
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    while ((await programs(prefix, () => true)).length > 0) await sleep(POLL_MILLISECONDS);
    await end();
  };
  const log = () => readFile(path(...HERE, 'log.txt'), 'utf8').catch(() => '');
  return {
    path,
    run: wine,
    log,
    async install(plan) {
      // Of a test before that failed. A service that runs would only be marked for its deletion.
      if ((await programs(prefix, () => true)).length > 0) await killService();
      await wine(['sc', 'delete', SERVICE], { okCodes: [0, 1] });
      await rm(path(...HERE), { recursive: true, force: true });
      await rm(path('recorded.txt'), { force: true });
      await mkdir(path(...HERE, 'steps'), { recursive: true });
      await copyFile(PROGRAM, path(...HERE, 'h2kfirst.exe'));
      await writeFile(path(...HERE, 'plan.tsv'), plan);
      const program = `C:\\${HERE.join('\\')}\\h2kfirst.exe`;
      await wine(['sc', 'create', SERVICE, 'binPath=', program, 'start=', 'auto']);
    },
    async writeInterface(plan) {
      const program = path(...HERE, 'interface-key.exe');
      await mkdir(path(...HERE), { recursive: true });
      await writeFile(path(...HERE, 'plan.tsv'), plan);
      await buildInterfaceKey(program);
      await wine([`C:\\${HERE.join('\\')}\\interface-key.exe`]);
    },
    async start(until) {
      const before = (await log()).length;
      // Where Windows is only starting, it starts the service itself.
      await wine(['net', 'start', SERVICE], { okCodes: [0, 1, 2] });
      for (;;) {
        const text = (await log()).slice(before);
        if (text.includes(until)) return text;
        await sleep(POLL_MILLISECONDS);
      }
    },
    recorded,
    async kill(afterPrograms) {
      while ((await recorded()).length < afterPrograms) await sleep(POLL_MILLISECONDS);
      await killService();
    },
    async close() {
      await end();
      await rm(scratch, { recursive: true, force: true });
    },
  };
}

const PROGRAM = fileURLToPath(new URL('../../../dist/first-boot/x86_64/h2kfirst.exe', import.meta.url));
const RECORDER = fileURLToPath(new URL('recorder.c', import.meta.url));

/** Ends all programs of a prefix, if any run, and returns when its registry is saved. */
async function endWine(env: Record<string, string>): Promise<void> {
  await run(SERVER, ['-k'], { env, okCodes: [0, 1, 2] });
  await run(SERVER, ['-w'], { env });
}

/** wine's services hold what the first program of all had for stdout, so that is a file and not a pipe. */
async function runWine(args: readonly string[], output: string, options: RunOptions): Promise<void> {
  await run(
    'sh',
    ['-c', 'output=$1; shift; exec "$@" >"$output" 2>&1', 'sh', output, WINE, ...args],
    options,
  );
}

async function buildRecorder(target: string): Promise<void> {
  await run('x86_64-w64-mingw32-gcc', ['-std=gnu11', '-Os', '-s', '-static-libgcc', '-o', target, RECORDER]);
}

const PARTS = ['interface-key', 'addresses', 'plan', 'paths', 'state'];

async function buildInterfaceKey(target: string): Promise<void> {
  const sources = fileURLToPath(new URL('../../../src/families/windows/first-boot/program', import.meta.url));
  await run('x86_64-w64-mingw32-gcc', [
    ...[
      '-std=c11',
      '-Os',
      '-municode',
      '-mconsole',
      '-DUNICODE',
      '-DWIN32_LEAN_AND_MEAN',
      '-D_WIN32_WINNT=0x0601',
    ],
    ...['-s', '-static-libgcc', '-I', sources, '-o', target],
    fileURLToPath(new URL('interface-key-test.c', import.meta.url)),
    ...PARTS.map((part) => join(sources, `${part}.c`)),
    '-ladvapi32',
  ]);
}

async function prefixInCache(): Promise<string> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a field of dpkg-query's.
  const { stdout } = await run('dpkg-query', ['-W', '-f', '${Version}', 'libwine']);
  const version = stdout.toString('utf8').replaceAll(/[^\w.]/g, '-');
  return cached(`wine-${version}`, async (scratch) => {
    const prefix = join(scratch, 'prefix');
    const env = {
      WINEPREFIX: prefix,
      WINEDEBUG: '-all',
      WINEDLLOVERRIDES: 'mscoree,mshtml=',
      DISPLAY: '',
      TMPDIR: scratch,
    };
    await runWine(['wineboot', '-i'], join(scratch, 'output'), { env, timeoutSeconds: 600 });
    await endWine(env);
    return prefix;
  });
}

/** Processes of the first-boot program in a prefix. */
async function programs(prefix: string, wanted: (command: string) => boolean): Promise<number[]> {
  const { stdout } = await run('pgrep', ['-f', 'h2kfirst\\.exe'], { okCodes: [0, 1] });
  const found: number[] = [];
  for (const pid of stdout.toString('utf8').split('\n').filter(Boolean).map(Number)) {
    const [command, environment] = await Promise.all(
      ['cmdline', 'environ'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')),
    );
    if (environment?.includes(`WINEPREFIX=${prefix}\0`) && wanted(command ?? '')) found.push(pid);
  }
  return found;
}
