import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorRecord, Hyper2kvmError } from '../errors/error.js';
import { socketDirectory } from '../files/scratch.js';
import { lastLines } from '../text/lines.js';
import { type RunOptions, run } from '../tools/run.js';
import { withoutNoise } from './noise.js';
import { type SshTarget, sshOptions } from './target.js';

export interface RemoteOptions {
  /** What the script reads from its standard input. */
  input?: Uint8Array;
  /** Called with each chunk of stdout, which is then not kept. */
  onStdout?(chunk: Buffer): unknown;
  /** How many bytes of stdout are kept; more is an error. Default 16 MiB. */
  maxBytes?: number;
  /** Default 600. */
  timeoutSeconds?: number;
}

export interface RemoteResult {
  code: number;
  stdout: Buffer;
  stderr: string;
}

/** One connection to a running guest, on which each script is a session of its own. */
export interface SshConnection {
  /**
   * Runs a script of sh(1) as root. It and its input go through standard input, so that nothing of them is in
   * a list of processes. Rejects with `live.connection-lost`.
   */
  run(script: string, options?: RemoteOptions): Promise<RemoteResult>;
  /** Bytes of all scripts' output and input so far. */
  traffic(): { read: number; written: number };
  close(): Promise<void>;
}

/** ssh's own exit code if the connection fails; none of our scripts has it. */
const SSH_FAILED = 255;
const ANY_CODE = Array.from({ length: SSH_FAILED }, (_, code) => code);

/**
 * Reads the script, whose length in bytes is the first line of standard input, and runs it; the rest is its
 * input. Nothing is run of a script that did not arrive whole. Only sh(1), dd(1) and single quotes: the user's
 * login shell may be another one.
 */
export const RUN_SCRIPT = `exec sh -c 'LC_ALL=C; IFS= read -r n && s=$(dd bs=1 count="$n" 2>/dev/null) && [ "\${#s}" -eq "$n" ] && eval "$s"'`;
const AS_ROOT = RUN_SCRIPT.replace('exec', 'exec sudo -n --');

/**
 * Connects to a host. Its key must be known. Rejects with `live.host-key`, `live.login-refused`,
 * `live.unreachable`, `live.not-root`.
 */
export async function connect(target: SshTarget, signal: AbortSignal): Promise<SshConnection> {
  const scratch = await socketDirectory();
  const socket = join(scratch, 's');
  const options = [...sshOptions(target), '-o', 'ControlPersist=no', '-S', socket];
  const ending = new AbortController();
  const master = startMaster(
    [...options, '-MN', '--', target.host],
    AbortSignal.any([signal, ending.signal]),
  );
  const traffic = { read: 0, written: 0 };

  /** Runs a command by the connection that is open, and never opens another. */
  const client = (more: readonly string[], runOptions: RunOptions) =>
    run('ssh', [...options, '-o', 'ControlMaster=no', '-o', 'ProxyCommand=false', ...more], {
      signal,
      ...runOptions,
    });

  async function remote(
    command: string,
    script: string,
    { input = new Uint8Array(), onStdout, maxBytes, timeoutSeconds }: RemoteOptions,
  ): Promise<RemoteResult> {
    const mark = randomBytes(16).toString('hex');
    // The shell drops newlines at the end.
    const text = Buffer.from(`${prelude(mark)}\n${script}`.trimEnd());
    const whole = Buffer.concat([Buffer.from(`${text.length}\n`), text, input]);
    const kept: Buffer[] = [];
    const output = withoutNoise(mark, (chunk) => {
      traffic.read += chunk.length;
      return onStdout === undefined ? void kept.push(chunk) : onStdout(chunk);
    });
    let bytes = 0;
    const most = maxBytes ?? DEFAULT_BYTES;
    const result = await client(['--', target.host, command], {
      input: whole,
      okCodes: ANY_CODE,
      ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
      onStdout(chunk) {
        bytes += chunk.length;
        if (bytes > most) throw tooMuch(most);
        return output(chunk);
      },
    }).catch((error: unknown) => {
      signal.throwIfAborted();
      throw lost(target, error);
    });
    traffic.written += input.length;
    return { code: result.code, stdout: Buffer.concat(kept), stderr: result.stderr };
  }

  const close = async () => {
    ending.abort();
    await master.ended;
    await rm(scratch, { recursive: true, force: true });
  };

  try {
    await opened(client, target, master);
    const command = await rootCommand(remote, target);
    return {
      run: (script, more = {}) => remote(command, script, more),
      traffic: () => ({ ...traffic }),
      close,
    };
  } catch (error) {
    await close();
    signal.throwIfAborted();
    throw error;
  }
}

const DEFAULT_BYTES = 16 * 1024 * 1024;

const prelude = (mark: string) =>
  `LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH; export LC_ALL PATH; umask 077; unset CDPATH GREP_OPTIONS TAR_OPTIONS; printf '\\n%s\\n' ${mark}`;

/** The connection itself: ssh without a command, until it is stopped. */
function startMaster(args: readonly string[], signal: AbortSignal) {
  let failure: unknown = null;
  const ended = run('ssh', args, { signal, timeoutSeconds: DAY }).then(
    () => {
      failure = new Error('ssh exited');
    },
    (error: unknown) => {
      failure = error;
    },
  );
  return { ended, failure: () => failure };
}

const DAY = 24 * 60 * 60;

type Client = (more: readonly string[], options: RunOptions) => Promise<{ code: number }>;

/** Resolves when the connection takes commands. */
async function opened(
  client: Client,
  target: SshTarget,
  master: ReturnType<typeof startMaster>,
): Promise<void> {
  for (;;) {
    if (master.failure() !== null) throw notConnected(target, master.failure());
    const { code } = await client(['-O', 'check', '--', target.host], { okCodes: [0, 1, SSH_FAILED] });
    if (code === 0) return;
    await sleep(50);
  }
}

/** Returns the command that runs a script as root: by itself for root, else by sudo. */
async function rootCommand(
  remote: (command: string, script: string, options: RemoteOptions) => Promise<RemoteResult>,
  target: SshTarget,
): Promise<string> {
  const { stdout } = await remote(RUN_SCRIPT, 'id -u', {});
  if (stdout.toString('utf8').trim() === '0') return RUN_SCRIPT;
  const { code, stderr } = await remote(AS_ROOT, 'id -u', {});
  if (code === 0) return AS_ROOT;
  throw new Hyper2kvmError('live.not-root', `sudo refuses on ${target.host}: ${lastLines(stderr)}`);
}

/** ssh's own messages (OpenSSH's sshconnect.c). */
const HOST_KEY = /Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED|host key is known for/;
const REFUSED = /Permission denied|Too many authentication failures/;

function notConnected({ host }: SshTarget, error: unknown): Hyper2kvmError {
  const { causes, message } = errorRecord(error);
  const text = causes[0] ?? message;
  const code = HOST_KEY.test(text)
    ? 'live.host-key'
    : REFUSED.test(text)
      ? 'live.login-refused'
      : 'live.unreachable';
  return new Hyper2kvmError(code, `cannot connect to ${host}: ${text}`, { cause: error });
}

function lost({ host }: SshTarget, error: unknown): unknown {
  const { code, causes, message } = errorRecord(error);
  if (!code.startsWith('tool.')) return error;
  return new Hyper2kvmError(
    'live.connection-lost',
    `lost the connection to ${host}: ${causes[0] ?? message}`,
    {
      cause: error,
    },
  );
}

function tooMuch(most: number): Hyper2kvmError {
  return new Hyper2kvmError('guest.call-failed', `the host answered with more than ${most} bytes`);
}
