import { createHash } from 'node:crypto';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

export interface ServedFile {
  bytes: Buffer;
  /** With its quotes; null for a server without any. */
  etag?: string | null;
  modified?: string;
  headers?: Record<string, string>;
}

/** What a server does wrong. Each is asked for every request. */
export interface Behaviour {
  /** Answers the request itself, and returns true. */
  instead?(request: IncomingMessage, response: ServerResponse): boolean;
  /** False for a server that sends whole files only. */
  ranges?: boolean;
  /** Bytes after which a connection is cut, over all its requests. */
  cutAfter?: number;
  /** Bytes per second and connection. */
  rate?: number;
  /** Changes the Content-Range of an answer. */
  contentRange?(header: string): string;
}

/** A web server on loopback, which counts what it sends. */
export class FileServer {
  readonly files = new Map<string, ServedFile>();
  readonly requests: { url: string; range: string | undefined; headers: IncomingMessage['headers'] }[] = [];
  behaviour: Behaviour = {};
  /** Bytes of bodies, of files only. */
  sent = 0;
  readonly #server: Server;
  readonly #protocol: 'http' | 'https';
  readonly #perSocket = new WeakMap<Socket, number>();

  private constructor(tls?: { key: string; cert: string }) {
    const listener: RequestListener = (request, response) => void this.#answer(request, response);
    this.#protocol = tls === undefined ? 'http' : 'https';
    this.#server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  }

  static async start(tls?: { key: string; cert: string }): Promise<FileServer> {
    const server = new FileServer(tls);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `${this.#protocol}://127.0.0.1:${this.port}`;
  }

  serve(path: string, bytes: Buffer, more: Omit<ServedFile, 'bytes'> = {}): void {
    const etag = `"${createHash('md5').update(bytes).digest('hex')}"`;
    this.files.set(path, { bytes, etag, ...more });
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests.push({ url: request.url!, range: request.headers.range, headers: request.headers });
    if (this.behaviour.instead?.(request, response) === true) return;
    const file = this.files.get(decodeURIComponent(request.url!.replace(/\?.*/, '')));
    if (file === undefined) return void response.writeHead(404).end();
    const { bytes, etag = null, modified } = file;
    const validators = {
      ...(etag === null ? {} : { etag }),
      ...(modified === undefined ? {} : { 'last-modified': modified }),
      ...file.headers,
    };
    const { 'if-match': match, 'if-unmodified-since': unmodified } = request.headers;
    const isOther =
      (match !== undefined && match !== etag) ||
      (unmodified !== undefined && modified !== undefined && Date.parse(modified) > Date.parse(unmodified));
    if (isOther) return void response.writeHead(412).end();
    const asked = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    if (asked === null || this.behaviour.ranges === false) {
      response.writeHead(200, { ...validators, 'content-length': bytes.length });
      return this.#send(request, response, bytes);
    }
    const start = Number(asked[1]);
    if (start >= bytes.length)
      return void response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
    const end = Math.min(Number(asked[2]) + 1, bytes.length);
    const header = `bytes ${start}-${end - 1}/${bytes.length}`;
    response.writeHead(206, {
      ...validators,
      'content-length': end - start,
      'content-range': this.behaviour.contentRange?.(header) ?? header,
    });
    return this.#send(request, response, bytes.subarray(start, end));
  }

  async #send({ socket }: IncomingMessage, response: ServerResponse, bytes: Buffer): Promise<void> {
    const { cutAfter = Number.POSITIVE_INFINITY, rate = Number.POSITIVE_INFINITY } = this.behaviour;
    // A listener for each wait, until the connection ends.
    socket.setMaxListeners(0);
    const step = 64 * 1024;
    for (let at = 0; at < bytes.length && !socket.destroyed; at += step) {
      const part = bytes.subarray(at, at + step);
      const before = this.#perSocket.get(socket) ?? 0;
      if (before + part.length > cutAfter) return void socket.destroy();
      this.#perSocket.set(socket, before + part.length);
      this.sent += part.length;
      if (!response.write(part))
        await new Promise<void>((resolve) => {
          response.once('drain', resolve);
          socket.once('close', resolve);
        });
      if (Number.isFinite(rate))
        await new Promise((resolve) => setTimeout(resolve, (part.length / rate) * 1000));
    }
    response.end();
  }
}
