import type { ChildProcess } from 'node:child_process';
import { execa } from 'execa';
import { programEnvironment } from './environment.js';
import { killGroup } from './process-group.js';

/** One of our own Node processes in a separate process group, with an IPC channel (structured clone). */
export interface NodeChild {
  process: ChildProcess;
  /** Sends SIGKILL to the whole group: the child and everything it started. */
  kill(): void;
  /** Resolves with a sentence when the child has exited, for whatever reason. Never rejects. */
  ended: Promise<string>;
  /** Returns the last lines of its stderr. */
  stderr(): string;
}

const STDERR_KEPT = 8 * 1024;

export interface NodeChildOptions {
  env: Record<string, string>;
  /**
   * Largest file (bytes) that the child and the programs it starts may write. Node ignores SIGXFSZ, so a
   * write beyond it fails with EFBIG.
   */
  fileBytes: number;
  /** Prefix that starts the child: a sandbox (tools/sandbox.ts). */
  wrapper?: readonly string[];
}

/**
 * Starts one of our modules in `node`. The child dies with this process, even on kill -9 (PR_SET_PDEATHSIG).
 */
export function startNodeChild(
  module: string,
  { env, fileBytes, wrapper = [] }: NodeChildOptions,
): NodeChild {
  const prefix = ['prlimit', `--fsize=${fileBytes}`, '--', ...wrapper];
  const child = execa('setpriv', ['--pdeathsig', 'KILL', '--', ...prefix, process.execPath, module], {
    detached: true,
    cleanup: false,
    reject: false,
    ipc: true,
    serialization: 'advanced',
    buffer: false,
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'pipe',
    env: { LC_ALL: 'C.UTF-8', ...programEnvironment(), ...env },
  });
  let kept = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    kept = (kept + text).slice(-STDERR_KEPT);
  });
  const kill = () => killGroup({ pid: child.pid });
  process.once('exit', kill);
  const ended = child.then((result) => {
    process.removeListener('exit', kill);
    // The programs that the child started (qemu, supermin) must not outlive it.
    kill();
    if (result.signal !== undefined) return `killed by ${result.signal}`;
    const code = result.exitCode ?? -1;
    // The sandbox passes a signal on as 128 plus its number.
    return code > 128 ? `killed by signal ${code - 128}` : `exited with code ${code}`;
  });
  return { process: child.nodeChildProcess, kill, ended, stderr: () => kept.trim() };
}
