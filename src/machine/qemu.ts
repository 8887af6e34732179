import { type ChildProcess, spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Hyper2kvmError } from '../errors/error.js';
import { socketDirectory } from '../files/scratch.js';
import { lastLines } from '../text/lines.js';
import { programEnvironment } from '../tools/environment.js';
import { killGroup } from '../tools/process-group.js';
import { sandboxPrefix } from '../tools/sandbox.js';
import { QmpClient } from './qmp.js';

export interface QemuOptions {
  /** `qemu-system-x86_64`. */
  program: string;
  /** The machine: everything except what this module adds (no defaults, sandbox, monitor, channels). */
  args: readonly string[];
  signal: AbortSignal;
  /**
   * Handlers of character devices by id, to be referenced in `args` (`-serial chardev:serial0`); they get
   * each chunk that the guest writes. They are connected before the first instruction runs, so nothing is
   * lost.
   */
  channels?: Record<string, (chunk: Buffer) => void>;
  /** Further files and directories that QEMU may read, absolute. */
  readable?: readonly string[];
  /** Directories that QEMU may write to, absolute; the directory of its own sockets is always included. */
  writable?: readonly string[];
  /** Limit on its address space, bytes. */
  memoryBytes?: number;
  /**
   * Largest file that QEMU may write, in bytes, so that a hostile guest cannot fill the host through its
   * overlay.
   */
  fileBytes?: number;
  /** Default 30, which a busy host needs. */
  startTimeoutSeconds?: number;
}

interface QemuExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A virtual machine, stopped before its first instruction: `qmp.execute('cont')` starts it. */
export interface Qemu {
  pid: number;
  /** As started, for the report. */
  commandLine: string[];
  qmp: QmpClient;
  exited: Promise<QemuExit>;
  /** Returns undefined while it runs. */
  exit(): QemuExit | undefined;
  /** Returns the end of QEMU's output. */
  messages(): string;
  /**
   * Quits by the monitor, then kills the process group; resolves when all of it has exited. Can be repeated.
   */
  stop(): Promise<void>;
}

const SANDBOX = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny';
const MESSAGE_BYTES = 16 * 1024;
const GROUP_GONE_SECONDS = 5;
const QUIT_SECONDS = 3;

/**
 * Starts a virtual machine; nothing else does. It has its own process group, dies with this process (also on
 * kill -9), and runs in QEMU's seccomp sandbox, without a network unless `args` have one. Errors:
 * `qemu.start` with QEMU's own message; those of QmpClient.
 */
export async function startQemu(options: QemuOptions): Promise<Qemu> {
  options.signal.throwIfAborted();
  const directory = await socketDirectory();
  const channels = Object.entries(options.channels ?? {});
  const commandLine = buildCommandLine(options, directory, Object.keys(options.channels ?? {}));
  let child: ChildProcess;
  try {
    const sandbox = await sandboxPrefix({
      readable: options.readable ?? [],
      writable: [directory, ...(options.writable ?? [])],
      devices: ['/dev/kvm'],
    });
    options.signal.throwIfAborted();
    child = launch([...sandbox, ...commandLine], options);
  } catch (error) {
    // Cancelled, or no process or descriptor available: nothing was started that would remove it.
    await rm(directory, { recursive: true });
    throw error;
  }
  const sockets: Socket[] = [];
  const failed = new AbortController();
  const messages = keepMessages(child);
  let exit: QemuExit | undefined;

  const exited = new Promise<QemuExit>((resolve) => {
    const end = (result: QemuExit) => {
      exit = result;
      failed.abort(new Error('QEMU ended'));
      resolve(result);
    };
    child.once('error', () => end({ code: null, signal: null }));
    child.once('close', (code, signal) => end({ code, signal }));
  });
  const kill = () => killGroup(child);
  process.once('exit', kill);
  options.signal.addEventListener('abort', kill, { once: true });

  let qmp: QmpClient | undefined;
  const stop = async () => {
    if (exit === undefined && !options.signal.aborted) {
      const asked = await qmp?.execute('quit', {}, { timeoutSeconds: QUIT_SECONDS }).then(
        () => true,
        // Refused or closed: QEMU is exiting already, or hangs and is killed below.
        () => false,
      );
      if (asked) await settled(exited, QUIT_SECONDS);
    }
    kill();
    await exited;
    await groupGone(child.pid ?? 0);
    qmp?.close();
    for (const socket of sockets) socket.destroy();
    process.removeListener('exit', kill);
    options.signal.removeEventListener('abort', kill);
    await rm(directory, { recursive: true, force: true });
  };

  try {
    qmp = await QmpClient.connect(join(directory, 'qmp'), {
      signal: AbortSignal.any([options.signal, failed.signal]),
      timeoutSeconds: options.startTimeoutSeconds ?? 30,
    });
    for (const [name, onData] of channels) {
      sockets.push(await openChannel(join(directory, name), onData));
    }
  } catch (error) {
    await stop();
    options.signal.throwIfAborted();
    throw exitedEarly(exit, messages(), options.program, error);
  }
  return { pid: child.pid ?? 0, commandLine, qmp, exited, exit: () => exit, messages, stop };
}

/** Returns the full argument vector, with QEMU's program first. Pure. */
function buildCommandLine(
  { args, program }: Pick<QemuOptions, 'args' | 'program'>,
  directory: string,
  channels: readonly string[],
): string[] {
  return [
    program,
    '-nodefaults',
    '-no-user-config',
    '-display',
    'none',
    '-sandbox',
    SANDBOX,
    '-S',
    '-qmp',
    `unix:${join(directory, 'qmp')},server=on,wait=off`,
    ...channels.flatMap((name) => [
      '-chardev',
      `socket,id=${name},path=${join(directory, name)},server=on,wait=off`,
    ]),
    ...args,
  ];
}

function launch(
  commandLine: readonly string[],
  { fileBytes, memoryBytes }: Pick<QemuOptions, 'fileBytes' | 'memoryBytes'>,
): ChildProcess {
  const limits = [
    'prlimit',
    '--core=0',
    ...(fileBytes === undefined ? [] : [`--fsize=${fileBytes}`]),
    ...(memoryBytes === undefined ? [] : [`--as=${memoryBytes}`]),
  ];
  return spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...limits, '--', ...commandLine], {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, LC_ALL: 'C', ...programEnvironment() },
  });
}

function keepMessages(child: ChildProcess): () => string {
  let text = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString('utf8')).slice(-MESSAGE_BYTES);
  });
  return () => text.trim();
}

/**
 * Waits for the whole group. Inside bubblewrap QEMU is a grandchild, which exits and releases its files a
 * moment after the child that was awaited.
 */
async function groupGone(group: number): Promise<void> {
  for (const end = performance.now() + GROUP_GONE_SECONDS * 1000; performance.now() < end; ) {
    try {
      process.kill(-group, 0);
    } catch {
      // ESRCH: no process is left in it.
      return;
    }
    await sleep(20);
  }
}

function openChannel(path: string, onData: (chunk: Buffer) => void): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.on('data', onData);
    socket.once('connect', () => {
      // From here on an error only means that QEMU has exited, which `exited` reports.
      socket.on('error', () => socket.destroy());
      resolve(socket);
    });
    socket.once('error', reject);
  });
}

async function settled(promise: Promise<unknown>, seconds: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise((resolve) => {
    timer = setTimeout(resolve, seconds * 1000);
  });
  await Promise.race([promise, limit]);
  clearTimeout(timer);
}

function exitedEarly(exit: QemuExit | undefined, text: string, program: string, error: unknown): unknown {
  if (text === '' && error instanceof Hyper2kvmError) return error;
  const how = exit?.signal ? `killed by ${exit.signal}` : `code ${exit?.code ?? 'unknown'}`;
  return new Hyper2kvmError('qemu.start', `${program} did not start (${how}): ${lastLines(text)}`, {
    cause: error,
  });
}
