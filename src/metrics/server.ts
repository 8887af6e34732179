import { createServer, type Server } from 'node:http';
import type { Logger } from 'pino';
import { METRICS_CONTENT_TYPE } from '../api/protocol.js';
import { Hyper2kvmError } from '../errors/error.js';

/** Serves `GET /metrics` on a loopback address, for Prometheus, and nothing else. */
export class MetricsServer {
  readonly #listen: string;
  readonly #server: Server;

  /** `listen` is `127.0.0.1:9180` or `[::1]:9180`. */
  constructor(listen: string, collect: () => Promise<string>, log: Logger) {
    this.#listen = listen;
    this.#server = createServer((request, response) => {
      if (request.url !== '/metrics') return void response.writeHead(404).end();
      if (request.method !== 'GET') return void response.writeHead(405, { allow: 'GET' }).end();
      collect().then(
        (text) => response.writeHead(200, { 'content-type': METRICS_CONTENT_TYPE }).end(text),
        (err: unknown) => {
          log.error({ err }, 'metrics could not be collected');
          response.writeHead(500).end();
        },
      );
    });
  }

  /** Errors: `api.metrics`. */
  async start(): Promise<void> {
    const { hostname, port } = new URL(`http://${this.#listen}`);
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (cause) =>
        reject(
          new Hyper2kvmError('api.metrics', `metrics cannot be served on ${this.#listen}: ${cause.message}`, {
            cause,
          }),
        ),
      );
      // URL omits port 80, http's default.
      this.#server.listen(Number(port || 80), hostname.replace(/^\[|\]$/g, ''), resolve);
    });
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}
