import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { EsxiSshConnection } from '../../../../config/connections.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { findProgram } from '../../../../tools/find-program.js';
import { run } from '../../../../tools/run.js';
import { credentialFile } from '../base/credential.js';
import { commandError, SSH_FAILED, sshError } from './errors.js';

const CONNECT_SECONDS = 30;
/** For a command that prints a little. */
const COMMAND_SECONDS = 120;
/** For one request of a file's part, and for the connection: only bounds that are never reached. */
const LONGEST_SECONDS = 20 * 24 * 3600;
const MOST_OUTPUT_BYTES = 16 * 1024 * 1024;
const ANY_CODE = Array.from({ length: 256 }, (_, code) => code);
const READY = 'ready\n';

/**
 * A login on a host by OpenSSH: one connection, which all commands share. Only the connection's own key and
 * list of host keys count; the configuration files of ssh and an agent do not.
 */
export class SshSession {
  /** Host and port, for people. */
  readonly server: string;
  readonly #directory: string;
  readonly #args: readonly string[];
  readonly #ended = new AbortController();
  #master: Promise<void> | null = null;

  private constructor(server: string, directory: string, args: readonly string[]) {
    this.server = server;
    this.#directory = directory;
    this.#args = args;
  }

  /** Connects to nothing yet. Errors: `remote.tool-missing`, `remote.secret-unreadable`. */
  static async create(connection: EsxiSshConnection): Promise<SshSession> {
    if ((await findProgram('ssh')) === null)
      throw new Hyper2kvmError('remote.tool-missing', 'there is no ssh on this host', {
        advice: 'Install it: `apt-get install openssh-client`.',
      });
    const { path, text } = await credentialFile(connection.secret);
    if (!/^-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text))
      throw new Hyper2kvmError(
        'remote.secret-unreadable',
        `the credential ${connection.secret} is not a private key of ssh`,
      );
    const url = new URL(connection.url);
    const directory = await mkdtemp(join(tmpdir(), 'h2k-ssh-'));
    const args = [
      ...['-F', '/dev/null', '-T', '-p', url.port === '' ? '22' : url.port],
      ...optionsOf(connection.known_hosts, path, join(directory, 'c')).flatMap((option) => ['-o', option]),
      ...['-l', connection.user, '--', url.hostname.replace(/^\[|\]$/g, '')],
    ];
    return new SshSession(url.host, directory, args);
  }

  /** Returns what a command prints. `what` says for people what failed. Errors: `remote.*`. */
  async command(command: string, what: string, signal: AbortSignal): Promise<Buffer> {
    await this.#connected(signal);
    const { code, stdout, stderr } = await run('ssh', [...this.#args, command], {
      signal: AbortSignal.any([signal, this.#ended.signal]),
      timeoutSeconds: COMMAND_SECONDS,
      maxOutputBytes: MOST_OUTPUT_BYTES,
      okCodes: ANY_CODE,
    });
    if (code !== 0) throw this.#errorOf(code, stderr, what);
    return stdout;
  }

  /** Yields what a command prints; throws at its end if it failed. */
  async *stream(command: string, what: string, signal: AbortSignal): AsyncGenerator<Buffer> {
    await this.#connected(signal);
    const left = new AbortController();
    const all = AbortSignal.any([signal, this.#ended.signal, left.signal]);
    const output = new PassThrough({ highWaterMark: 1024 * 1024 });
    const ended = run('ssh', [...this.#args, command], {
      signal: all,
      timeoutSeconds: LONGEST_SECONDS,
      okCodes: ANY_CODE,
      async onStdout(chunk) {
        if (!output.write(chunk)) await once(output, 'drain', { signal: all });
      },
    });
    ended.then(
      () => output.end(),
      (error: unknown) => output.destroy(error instanceof Error ? error : new Error(String(error))),
    );
    try {
      for await (const chunk of output) yield chunk as Buffer;
      const { code, stderr } = await ended;
      if (code !== 0) throw this.#errorOf(code, stderr, what);
    } finally {
      left.abort(new Error('not read to its end'));
      await ended.catch(() => undefined);
    }
  }

  async close(): Promise<void> {
    this.#ended.abort(new Error('the connection was closed'));
    await this.#master?.catch(() => undefined);
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Makes the connection, again if it has ended. */
  async #connected(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#master ??= this.#connect();
    await this.#master;
    signal.throwIfAborted();
  }

  /** Resolves when the first command ran; that command ends with this process or with the connection. */
  #connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      const input = new PassThrough();
      let printed = '';
      const ended = run('ssh', ['-o', 'ControlMaster=yes', ...this.#args, 'echo ready; exec cat'], {
        signal: this.#ended.signal,
        timeoutSeconds: LONGEST_SECONDS,
        okCodes: ANY_CODE,
        input,
        onStdout: (chunk) => {
          printed = (printed + chunk.toString('latin1')).slice(0, READY.length);
          if (printed === READY) resolve();
        },
      });
      ended
        .then(({ code, stderr }) => reject(this.#errorOf(code, stderr, this.server)), reject)
        .finally(() => {
          this.#master = null;
        });
    });
  }

  #errorOf(code: number, stderr: string, what: string): Hyper2kvmError {
    return code === SSH_FAILED ? sshError(stderr, this.server) : commandError(code, stderr, what);
  }
}

function optionsOf(knownHosts: string, key: string, control: string): string[] {
  return [
    'BatchMode=yes',
    'StrictHostKeyChecking=yes',
    `UserKnownHostsFile=${knownHosts}`,
    'GlobalKnownHostsFile=/dev/null',
    'UpdateHostKeys=no',
    'VerifyHostKeyDNS=no',
    `IdentityFile=${key}`,
    'IdentitiesOnly=yes',
    'IdentityAgent=none',
    'PreferredAuthentications=publickey',
    'ForwardAgent=no',
    'ClearAllForwardings=yes',
    `ConnectTimeout=${CONNECT_SECONDS}`,
    'ServerAliveInterval=15',
    'ServerAliveCountMax=4',
    'LogLevel=ERROR',
    `ControlPath=${control}`,
  ];
}
