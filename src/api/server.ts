import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { catalogueEntry } from '../errors/catalogue.js';
import { errorRecord, Hyper2kvmError } from '../errors/error.js';
import { clearStaleSocket, LONGEST_SOCKET_PATH } from '../host/unix-socket.js';
import type { Route } from './routes.js';

const LARGEST_BODY_BYTES = 64 * 1024;

/** The control socket: HTTP with JSON on a unix socket that owner and group may use. */
export class ControlServer {
  readonly #socket: string;
  readonly #routes: readonly Route[];
  readonly #log: Logger;
  readonly #server: Server;
  readonly #abort = new AbortController();

  constructor(socket: string, routes: readonly Route[], log: Logger) {
    this.#socket = socket;
    this.#routes = routes;
    this.#log = log;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  /**
   * Errors: `daemon.already-running` if another daemon answers on the socket; `api.socket` if it cannot be
   * created.
   */
  async start(): Promise<void> {
    await removeStaleSocket(this.#socket);
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (cause) => reject(socketError(this.#socket, cause)));
      this.#server.listen(this.#socket, () => {
        chmodSync(this.#socket, 0o660);
        resolve();
      });
    });
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const signal = AbortSignal.any([this.#abort.signal, gone.signal]);
    try {
      const url = new URL(request.url ?? '/', 'http://hyper2kvm');
      const { route, id } = this.#find(request.method ?? '', url.pathname);
      const body = request.method === 'POST' ? await readBody(request) : {};
      const answer: unknown = await route.handle({ id, query: url.searchParams, body, signal });
      if (isStream(answer)) return await sendLines(response, answer, signal);
      if (route.contentType === undefined) return send(response, 200, answer);
      response.writeHead(200, { 'content-type': route.contentType }).end(answer);
    } catch (error) {
      if (response.headersSent || signal.aborted) return void response.destroy();
      const record = errorRecord(error);
      const status = catalogueEntry(record.code)?.http ?? 500;
      if (status === 500) this.#log.error({ err: error, url: request.url }, 'control request failed');
      send(response, status, { error: record });
    }
  }

  #find(method: string, path: string): { route: Route; id: string } {
    for (const route of this.#routes) {
      const match = route.method === method ? route.path.exec(path) : null;
      if (match !== null) return { route, id: decodeId(match[1] ?? '') };
    }
    throw new Hyper2kvmError('api.no-route', `there is no ${method} ${path}`);
  }
}

function decodeId(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new Hyper2kvmError('api.bad-request', `${text} is not a job`, {
      advice: 'Give a job id or a VM name.',
      cause,
    });
  }
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  let text = '';
  request.setEncoding('utf8');
  for await (const chunk of request) {
    text += chunk as string;
    if (text.length > LARGEST_BODY_BYTES)
      throw new Hyper2kvmError('api.bad-request', 'the request is too large', {
        advice: `Send at most ${LARGEST_BODY_BYTES} bytes.`,
      });
  }
  if (text === '') return {};
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new Hyper2kvmError('api.bad-request', 'the request body is not valid JSON', {
      advice: 'Send a JSON object.',
      cause,
    });
  }
}

function isStream(answer: unknown): answer is AsyncIterable<Uint8Array> {
  return typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer;
}

/**
 * Sends lines. However it ends, even if the client disconnects, the iterator is closed, because it holds an
 * open file.
 */
async function sendLines(
  response: ServerResponse,
  lines: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const iterator = lines[Symbol.asyncIterator]();
  try {
    // Called before the headers are sent, so that an error in the request still gets its own status.
    let next = await iterator.next();
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    for (; !next.done; next = await iterator.next()) {
      // A closed response emits no `drain` and no second `close`, so only the signal ends this wait.
      if (!response.write(next.value)) await once(response, 'drain', { signal });
    }
    response.end();
  } finally {
    await iterator.return?.();
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}

/** Makes the path free, unless another daemon answers on it. */
async function removeStaleSocket(path: string): Promise<void> {
  if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH) {
    throw new Hyper2kvmError(
      'api.socket',
      `${path} is too long for a unix socket (${LONGEST_SOCKET_PATH} bytes)`,
      { advice: 'Set control.socket to a shorter path.' },
    );
  }
  if (await clearStaleSocket(path)) return;
  throw new Hyper2kvmError('daemon.already-running', `another daemon answers on ${path}`, {
    advice: 'Stop that one first (`systemctl stop hyper2kvm`), or set control.socket to another path.',
  });
}

function socketError(path: string, cause: Error): Hyper2kvmError {
  return new Hyper2kvmError('api.socket', `the control socket ${path} cannot be created: ${cause.message}`, {
    cause,
  });
}
