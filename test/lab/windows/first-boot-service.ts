import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { buildForWindows, POLL_MILLISECONDS, RECORDED, type Wine } from './wine.ts';

const SERVICE = 'hyper2kvm-firstboot';
/** Where the program and its files are, as FIX has them. */
export const HERE = ['Program Files', 'hyper2kvm', 'firstboot'];
const DIRECTORY = `C:\\${HERE.join('\\')}`;
const PROGRAMS = fileURLToPath(new URL('../../../dist/first-boot', import.meta.url));
/** How often a service is made or started again that the service manager still knows as the one before. */
const ATTEMPTS = 20;

/** The first-boot program as a service of wine's, in one test. */
export interface FirstBootService {
  /** Sets the exit codes of a recorder: the first for its first call, …; the last one goes on. */
  codes(program: string, ...values: (number | 'hang')[]): Promise<void>;
  /** Puts the program with this plan in place, without any state, and makes the service. */
  install(plan: string): Promise<void>;
  /**
   * Starts the service and returns the log since then when it has this text. Rejects if the service has ended
   * without it.
   */
  start(until: string): Promise<string>;
  /** Returns the log since then when the service has ended. */
  finish(): Promise<string>;
  /**
   * Kills the service once so many programs are recorded (the log names each before it starts), waits until what the
   * service had started is gone, too, and then ends this Windows.
   */
  kill(afterPrograms: number): Promise<void>;
  /** Returns what was started, a command line each. */
  recorded(): Promise<string[]>;
  /** Returns the names of the state files. */
  states(): Promise<string[]>;
  /** Returns whether the service is deleted. The service manager does that some time after the service has ended. */
  isDeleted(): Promise<boolean>;
  /** Lets the part of the program that writes an adapter's registry do so by the first step of this plan. */
  writeInterface(plan: string): Promise<void>;
}

const isProgram = (command: string) => command.includes('h2kfirst.exe');
const isOurs = (command: string) => isProgram(command) || RECORDED.some((name) => command.includes(name));

/**
 * Returns the service of a new test, whatever the one before has left behind: nothing of that runs or is there any
 * more. `signal` is the test's: what waits ends with it, and does not go on into the next one.
 */
export async function newFirstBootService(wine: Wine, signal: AbortSignal): Promise<FirstBootService> {
  // A step that hangs, and a service that would have to be asked.
  if ((await wine.processes(isOurs)).length > 0) await wine.end();
  // Where Windows starts anew, it would start the old service with it.
  await rm(wine.path(...HERE), { recursive: true, force: true });
  await rm(wine.path('recorded.txt'), { force: true });
  const pause = () => sleep(POLL_MILLISECONDS, undefined, { signal });
  const log = () => readFile(wine.path(...HERE, 'log.txt'), 'utf8').catch(() => '');
  const isRunning = async () => (await wine.processes(isProgram)).length > 0;
  const recorded = async () => {
    const text = await readFile(wine.path('recorded.txt'), 'utf8').catch(() => '');
    return text.split(/\r?\n/).flatMap((line) => line.split('\t')[1]?.trim() ?? []);
  };
  const codes: FirstBootService['codes'] = (program, ...values) =>
    writeFile(wine.path('codes', `${program}.exe.txt`), values.join(' '));
  for (const name of RECORDED) await codes(name.replace('.exe', ''), 0);
  let before = 0;
  const sinceStart = async () => (await log()).slice(before);
  const finish = async () => {
    while (await isRunning()) await pause();
    return sinceStart();
  };
  return {
    codes,
    recorded,
    finish,
    async install(plan) {
      await mkdir(wine.path(...HERE, 'steps'), { recursive: true });
      await copyFile(join(PROGRAMS, wine.machine, 'h2kfirst.exe'), wine.path(...HERE, 'h2kfirst.exe'));
      await writeFile(wine.path(...HERE, 'plan.tsv'), plan);
      const create = ['sc', 'create', SERVICE, 'binPath=', `"${DIRECTORY}\\h2kfirst.exe"`, 'start=', 'auto'];
      // The last test's may be there, or still going away.
      await succeed(
        () => wine.call(create, { signal, okCodes: ANY }),
        async () => {
          await wine.call(['sc', 'delete', SERVICE], { signal, okCodes: ANY });
          await pause();
        },
      );
    },
    async start(until) {
      before = (await log()).length;
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        // Where Windows is only starting, it starts the service itself and has no time for this.
        const { text } = await wine.call(['net', 'start', SERVICE], { signal, okCodes: ANY });
        while ((await isRunning()) && !(await sinceStart()).includes(until)) await pause();
        // Read once more: the last line may be from between the two.
        const found = await sinceStart();
        if (found.includes(until)) return found;
        if (found !== '') throw new Error(`the service has ended without "${until}":\n${found}`);
        if (attempt === ATTEMPTS - 1) throw new Error(`the service does not start: ${text}`);
        await pause();
      }
      return '';
    },
    async kill(afterPrograms) {
      while ((await recorded()).length < afterPrograms) await pause();
      const isService = (command: string) => isProgram(command) && !command.includes('--step');
      for (const pid of await wine.processes(isService)) process.kill(pid, 'SIGKILL');
      while ((await wine.processes(isProgram)).length > 0) await pause();
      await wine.end();
    },
    states: () => readdir(wine.path(...HERE, 'state')),
    async isDeleted() {
      await finish();
      const key = `HKLM\\SYSTEM\\CurrentControlSet\\Services\\${SERVICE}`;
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const { code } = await wine.call(['reg', 'query', key], { signal, okCodes: [0, 1] });
        if (code === 1) return true;
        await pause();
      }
      return false;
    },
    async writeInterface(plan) {
      const program = wine.path(...HERE, 'interface-key.exe');
      await mkdir(wine.path(...HERE), { recursive: true });
      await writeFile(wine.path(...HERE, 'plan.tsv'), plan);
      await buildForWindows(wine.machine, program, INTERFACE_KEY, INTERFACE_KEY_OPTIONS);
      await wine.run([`${DIRECTORY}\\interface-key.exe`], { signal });
    },
  };
}

/** Every exit code of a Windows program as Linux has it. */
const ANY = Array.from({ length: 256 }, (_, code) => code);

/** Calls until the exit code is 0, with `between` between two calls. */
async function succeed(
  call: () => Promise<{ code: number; text: string }>,
  between: () => Promise<void>,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const { code, text } = await call();
    if (code === 0) return;
    if (attempt === ATTEMPTS) throw new Error(`exit code ${code}: ${text}`);
    await between();
  }
}

const SOURCES = fileURLToPath(new URL('../../../src/families/windows/first-boot/program', import.meta.url));
const INTERFACE_KEY = [
  fileURLToPath(new URL('interface-key-test.c', import.meta.url)),
  ...['interface-key', 'addresses', 'plan', 'paths', 'state'].map((part) => join(SOURCES, `${part}.c`)),
];
const INTERFACE_KEY_OPTIONS = [
  ...['-municode', '-mconsole', '-DUNICODE', '-DWIN32_LEAN_AND_MEAN', '-D_WIN32_WINNT=0x0601'],
  ...['-I', SOURCES, '-ladvapi32'],
];
