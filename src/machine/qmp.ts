import { EventEmitter } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import { StringDecoder } from 'node:string_decoder';
import { setTimeout as sleep } from 'node:timers/promises';
import { Hyper2kvmError } from '../errors/error.js';

/** An asynchronous message of QEMU (`RESET`, `SHUTDOWN`, `GUEST_PANICKED`, …). */
export interface QmpEvent {
  name: string;
  data: Record<string, unknown>;
}

export interface QmpConnectOptions {
  /** Closes the connection at once, also later while it is in use. */
  signal?: AbortSignal;
  /** Time limit for the socket to appear and for the greeting. Default 30. */
  timeoutSeconds?: number;
}

interface Pending {
  command: string;
  timer: NodeJS.Timeout;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** A reply or event is one line; `query-*` of a large machine is far shorter than this. */
const MAX_LINE_BYTES = 8 * 1024 * 1024;
const RETRY_MILLISECONDS = 50;

/**
 * Client of the QEMU Machine Protocol over a unix socket (QEMU: docs/interop/qmp-spec.rst). Commands carry an
 * id, so several can run at once. Emits `event` for each asynchronous message and `close` once, after which
 * every command is refused.
 *
 * Errors: `qmp.connect`, `qmp.closed`, `qmp.timeout`, `qmp.protocol`, `qmp.refused` (QEMU's own error reply,
 * with its class in the message).
 */
export class QmpClient extends EventEmitter<{ event: [QmpEvent]; close: [] }> {
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  readonly #decoder = new StringDecoder('utf8');
  #buffer = '';
  #nextId = 1;
  #closed: Error | undefined;
  #greeting: { resolve(): void; reject(error: Error): void } | undefined;

  private constructor(socket: Socket) {
    super();
    this.#socket = socket;
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', (error) => this.#end(closedError(error)));
    socket.on('close', () => this.#end(closedError()));
  }

  /** Waits for the socket and the greeting, then ends capabilities negotiation. */
  static async connect(socketPath: string, options: QmpConnectOptions = {}): Promise<QmpClient> {
    const timeoutSeconds = options.timeoutSeconds ?? 30;
    const deadline = performance.now() + timeoutSeconds * 1000;
    const socket = await openSocket(socketPath, deadline, options.signal);
    const client = new QmpClient(socket);
    const onAbort = () => client.close();
    options.signal?.addEventListener('abort', onAbort, { once: true });
    client.once('close', () => options.signal?.removeEventListener('abort', onAbort));
    try {
      await client.#greeted(Math.max(0, deadline - performance.now()), timeoutSeconds);
      await client.execute('qmp_capabilities');
      return client;
    } catch (error) {
      client.close();
      options.signal?.throwIfAborted();
      throw error;
    }
  }

  /**
   * Runs one command; returns the reply's `return` value, whose shape is defined by QEMU's schema. Default
   * time limit 30 s.
   */
  execute(
    command: string,
    args: Record<string, unknown> = {},
    options: { timeoutSeconds?: number } = {},
  ): Promise<unknown> {
    if (this.#closed) return Promise.reject(this.#closed);
    const id = this.#nextId++;
    const timeoutSeconds = options.timeoutSeconds ?? 30;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(timeoutError(`QEMU did not answer ${command} within ${timeoutSeconds} s`));
      }, timeoutSeconds * 1000);
      this.#pending.set(id, { command, timer, resolve, reject });
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    });
  }

  /** Closes the connection; running commands fail with `qmp.closed`. Can be repeated. */
  close(): void {
    this.#end(closedError());
  }

  #greeted(milliseconds: number, timeoutSeconds: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(timeoutError(`QEMU's monitor did not greet within ${timeoutSeconds} s`)),
        milliseconds,
      );
      const settle = () => clearTimeout(timer);
      this.#greeting = {
        resolve: () => {
          settle();
          resolve();
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      if (this.#closed) this.#greeting.reject(this.#closed);
    });
  }

  #receive(chunk: Buffer): void {
    this.#buffer += this.#decoder.write(chunk);
    const lines = this.#buffer.split('\n');
    this.#buffer = lines.pop() ?? '';
    for (const line of lines) {
      if (line.trim() !== '') this.#message(line);
    }
    if (this.#buffer.length > MAX_LINE_BYTES) this.#end(protocolError('a line of unlimited length'));
  }

  #message(line: string): void {
    const message = parseObject(line);
    if (message === undefined) {
      this.#end(protocolError(line.slice(0, 200)));
      return;
    }
    if ('QMP' in message) {
      this.#greeting?.resolve();
      return;
    }
    if (typeof message.event === 'string') {
      this.emit('event', {
        name: message.event,
        data: isObject(message.data) ? message.data : {},
      });
      return;
    }
    const pending = typeof message.id === 'number' ? this.#pending.get(message.id) : undefined;
    // A late reply to a command that reached its time limit is ignored.
    if (pending === undefined) return;
    this.#pending.delete(message.id as number);
    clearTimeout(pending.timer);
    if ('error' in message) pending.reject(refusedError(pending.command, message.error));
    else pending.resolve(message.return);
  }

  #end(error: Error): void {
    if (this.#closed) return;
    this.#closed = error;
    this.#socket.destroy();
    this.#greeting?.reject(error);
    for (const pending of this.#pending.values()) {
      clearTimeout(pending.timer);
      pending.reject(error);
    }
    this.#pending.clear();
    this.emit('close');
  }
}

async function openSocket(path: string, deadline: number, signal?: AbortSignal): Promise<Socket> {
  for (;;) {
    signal?.throwIfAborted();
    const attempt = await tryConnect(path);
    if (!(attempt instanceof Error)) return attempt;
    if (performance.now() >= deadline) {
      throw new Hyper2kvmError(
        'qmp.connect',
        `QEMU's monitor ${path} cannot be reached: ${attempt.message}`,
        {
          retryable: true,
          cause: attempt,
        },
      );
    }
    // QEMU creates the socket a moment after its start; until then it is missing or refuses.
    await sleep(RETRY_MILLISECONDS, undefined, signal ? { signal } : {}).catch(() =>
      signal?.throwIfAborted(),
    );
  }
}

function tryConnect(path: string): Promise<Socket | Error> {
  return new Promise((resolve) => {
    const socket = connectSocket(path);
    const onError = (error: Error) => {
      socket.destroy();
      resolve(error);
    };
    socket.once('error', onError);
    socket.once('connect', () => {
      socket.removeListener('error', onError);
      resolve(socket);
    });
  });
}

function parseObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : undefined;
  } catch {
    // Not JSON: the caller reports the line.
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refusedError(command: string, error: unknown): Hyper2kvmError {
  const { class: kind, desc } = isObject(error) ? error : { class: 'unknown', desc: String(error) };
  return new Hyper2kvmError('qmp.refused', `QEMU refused ${command}: ${desc} (${kind})`);
}

function closedError(cause?: Error): Hyper2kvmError {
  return new Hyper2kvmError('qmp.closed', "The connection to QEMU's monitor is closed", {
    ...(cause ? { cause } : {}),
  });
}

function timeoutError(message: string): Hyper2kvmError {
  return new Hyper2kvmError('qmp.timeout', message, {
    retryable: true,
  });
}

function protocolError(text: string): Hyper2kvmError {
  return new Hyper2kvmError('qmp.protocol', `What QEMU's monitor sent is not QMP: ${text}`);
}
