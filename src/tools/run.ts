import type { Readable } from 'node:stream';
import type { Options } from 'execa';
import { errorRecord, Hyper2kvmError } from '../errors/error.js';
import { lastLines } from '../text/lines.js';
import { programEnvironment } from './environment.js';
import { killGroup } from './process-group.js';

export interface RunOptions {
  signal?: AbortSignal;
  /** In seconds; then the whole process group is killed. Default 600. */
  timeoutSeconds?: number;
  cwd?: string;
  env?: Record<string, string>;
  input?: string | Uint8Array | Readable;
  /** Called when the program runs, with the process that everything else is started by. */
  onStart?(pid: number): void;
  /**
   * Called with each chunk of stdout (progress, content); output is then not kept. While a returned promise
   * is pending, nothing more is read. If it throws, the program is killed and `run` rejects with that error.
   */
  onStdout?(chunk: Buffer): unknown;
  /**
   * Pass stdout and stderr through to those of this process instead of keeping them, for programs that talk
   * to the user.
   */
  inherit?: boolean;
  /** How many bytes of stdout are kept; more is an error. Default 16 MiB. */
  maxOutputBytes?: number;
  /** Limits on address space and file size in bytes, set by prlimit. */
  limits?: { memoryBytes?: number; fileBytes?: number };
  /**
   * Prefix that starts the program: a sandbox (tools/sandbox.ts). It must pass on the exit code, and a signal
   * as 128 plus its number.
   */
  wrapper?: readonly string[];
  /** Exit codes that are not failures. Default [0]. */
  okCodes?: readonly number[];
}

export interface RunResult {
  stdout: Buffer;
  stderr: string;
  code: number;
  seconds: number;
}
/**
 * Runs a program to its end, in a process group that dies with this process. Errors: `tool.*`, those of
 * `onStdout`, the signal's reason, and transient errors of the host.
 */
export async function run(
  file: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const started = performance.now();
  const prefix = ['setpriv', '--pdeathsig', 'KILL'];
  const { memoryBytes, fileBytes } = options.limits ?? {};
  if (memoryBytes !== undefined || fileBytes !== undefined) {
    prefix.push('prlimit');
    if (memoryBytes !== undefined) prefix.push(`--as=${memoryBytes}`);
    if (fileBytes !== undefined) prefix.push(`--fsize=${fileBytes}`);
  }
  const [command, ...prefixArgs] = prefix as [string, ...string[]];
  const timeoutSeconds = options.timeoutSeconds ?? 600;
  const execaOptions = {
    detached: true,
    cleanup: false,
    reject: false,
    encoding: 'buffer',
    stdin: options.input === undefined ? 'ignore' : 'pipe',
    env: { LC_ALL: 'C', ...programEnvironment(), ...options.env },
    maxBuffer: { stdout: options.maxOutputBytes ?? 16 * 1024 * 1024, stderr: 1024 * 1024 },
    ...(options.input === undefined ? {} : { input: options.input }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.inherit === true ? { stdout: 'inherit', stderr: 'inherit' } : {}),
    ...(options.onStdout === undefined ? {} : { buffer: { stdout: false, stderr: true } }),
  } satisfies Options;
  // Not by a static import: threads that read a guest's texts have this module, run nothing, and would load a fifth
  // more for it.
  const { execa } = await import('execa');
  options.signal?.throwIfAborted();
  const wrapper = options.wrapper ?? [];
  const child = execa(command, [...prefixArgs, '--', ...wrapper, file, ...args], execaOptions);
  const kill = () => killGroup({ pid: child.pid });
  if (child.pid !== undefined) options.onStart?.(child.pid);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    kill();
  }, timeoutSeconds * 1000);
  options.signal?.addEventListener('abort', kill, { once: true });
  // Programs that this daemon starts die with it, even on a normal exit.
  process.once('exit', kill);
  const consumption = options.onStdout === undefined ? null : consume(child.stdout, options.onStdout, kill);
  try {
    const result = await child;
    options.signal?.throwIfAborted();
    await consumption?.ended();
    const stderr = Buffer.from(result.stderr ?? new Uint8Array()).toString('utf8');
    const code = result.exitCode ?? -1;
    if (timedOut)
      throw toolError('timeout', `${file} took longer than ${timeoutSeconds} s and was killed`, stderr, true);
    if (result.isMaxBuffer)
      throw toolError(
        'output-flood',
        `${file} printed more than is reasonable and was killed`,
        stderr,
        false,
      );
    if (result.exitCode === undefined && result.signal === undefined) {
      // A momentary lack of processes, descriptors or memory is not the program's fault.
      if (errorRecord(result.cause).retryable) throw result.cause;
      throw toolError(
        'not-started',
        `${file} could not be started: ${result.originalMessage ?? ''}`,
        stderr,
        false,
      );
    }
    if (result.signal !== undefined)
      throw toolError('killed', `${file} was killed by ${result.signal}`, stderr, true);
    if (wrapper.length > 0 && code > 128)
      throw toolError('killed', `${file} was killed by signal ${code - 128}`, stderr, true);
    if (!(options.okCodes ?? [0]).includes(code)) {
      throw toolError('failed', `${file} exited with code ${code}: ${lastLines(stderr)}`, stderr, false);
    }
    return {
      stdout: Buffer.from(result.stdout ?? new Uint8Array()),
      stderr,
      code,
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', kill);
    process.removeListener('exit', kill);
    kill();
  }
}

/**
 * Passes chunks on one at a time, in order. Pausing the stream only limits what is read ahead, because Node
 * resumes the streams of a program that has exited.
 */
function consume(
  stdout: Readable | null,
  onChunk: (chunk: Buffer) => unknown,
  stop: () => void,
): { ended(): Promise<void> } {
  let last: Promise<void> = Promise.resolve();
  let failure: { error: unknown } | null = null;
  const hand = async (chunk: Buffer) => {
    try {
      if (failure === null) await onChunk(chunk);
    } catch (error) {
      failure = { error };
      stop();
    }
    stdout?.resume();
  };
  stdout?.on('data', (chunk: Buffer) => {
    stdout.pause();
    last = last.then(() => hand(chunk));
  });
  return {
    async ended() {
      await last;
      if (failure !== null) throw failure.error;
    },
  };
}

function toolError(
  what: 'timeout' | 'killed' | 'failed' | 'not-started' | 'output-flood',
  message: string,
  stderr: string,
  retryable: boolean,
): Hyper2kvmError {
  const full = /No space left on device/i.test(stderr);
  return new Hyper2kvmError(full ? 'host.enospc' : `tool.${what}`, message, {
    retryable: retryable || full,
    cause: stderr === '' ? undefined : new Error(lastLines(stderr)),
  });
}
