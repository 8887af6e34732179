import { chmodSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import type { z } from 'zod';
import type { Config } from '../../../config/schema.js';
import { errorRecord, Hyper2kvmError } from '../../../errors/error.js';
import { clearStaleSocket } from '../../../host/unix-socket.js';
import type { UndoRecord } from '../../../model/undo.js';
import { landVm } from '../land-vm.js';
import { releaseHere } from '../release.js';
import { isSameRecord } from '../transports/base/undoing.js';
import {
  type LandEvent,
  type LandRequest,
  landRequestSchema,
  type releaseAnswerSchema,
  releaseRequestSchema,
} from './protocol.js';

const LARGEST_BODY_BYTES = 8 * 1024 * 1024;

/** The fetching unit's socket. Only the service's own user may connect. */
export class FetchServer {
  readonly #config: () => Config;
  readonly #log: Logger;
  readonly #server: Server;
  readonly #stopping = new AbortController();
  /** Landings by job: the next one of a job begins when the last has let go of its files. */
  readonly #running = new Map<string, Promise<void>>();

  /** `config` is read for each fetch, so that a new connection needs no restart. */
  constructor(config: () => Config, log: Logger) {
    this.#config = config;
    this.#log = log;
    this.#server = createServer((request, response) => void this.#answer(request, response));
    // A fetch takes as long as it takes.
    this.#server.requestTimeout = 0;
  }

  /** Errors: `api.socket`. */
  async start(socket: string): Promise<void> {
    if (!(await clearStaleSocket(socket))) throw socketError(`another process answers on ${socket}`);
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (cause) => reject(socketError(`${socket} cannot be created`, cause)));
      this.#server.listen(socket, () => {
        chmodSync(socket, 0o600);
        resolve();
      });
    });
  }

  /** Ends all landings; each continues at the next request. */
  async stop(): Promise<void> {
    const reason = 'the fetching unit was stopped during the transfer';
    this.#stopping.abort(new Hyper2kvmError('remote.interrupted', reason, { retryable: true }));
    await Promise.all(this.#running.values());
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once('close', () => gone.abort(new Error('the daemon has ended the fetch')));
    const send = (event: LandEvent) => void response.write(`${JSON.stringify(event)}\n`);
    try {
      const route = `${request.method} ${request.url}`;
      if (route !== 'POST /v1/land' && route !== 'POST /v1/release')
        throw new Hyper2kvmError('api.no-route', `there is no ${route}`);
      const body: unknown = JSON.parse(await textOf(request));
      const signal = AbortSignal.any([gone.signal, this.#stopping.signal]);
      if (route === 'POST /v1/release')
        return void response.end(JSON.stringify(await this.#release(body, signal)));
      const asked = landRequestSchema.parse(body);
      response.writeHead(200, { 'content-type': 'application/x-ndjson' });
      send(await this.#inTurn(asked.job, () => this.#land(asked, send, signal)));
    } catch (error) {
      const record = errorRecord(error);
      if (!gone.signal.aborted) this.#log.warn({ code: record.code, error: record.message }, 'fetch failed');
      send({ event: 'failed', error: record });
    }
    response.end();
  }

  async #release(body: unknown, signal: AbortSignal): Promise<z.infer<typeof releaseAnswerSchema>> {
    const { job, undo } = releaseRequestSchema.parse(body);
    const context = { config: this.#config(), signal, log: this.#log };
    // What a landing is about to make is made, or not, before it is undone.
    return { released: await this.#inTurn(job, () => releaseHere(job, undo, context)) };
  }

  /** After a restart the daemon asks again while its old request still ends. */
  async #inTurn<T>(job: string, work: () => Promise<T>): Promise<T> {
    const before = this.#running.get(job) ?? Promise.resolve();
    const result = before.then(work);
    const ended = result.then(
      () => undefined,
      () => undefined,
    );
    this.#running.set(job, ended);
    try {
      return await result;
    } finally {
      if (this.#running.get(job) === ended) this.#running.delete(job);
    }
  }

  async #land(
    { job, source, reserved, undo, fresh }: LandRequest,
    send: (event: LandEvent) => void,
    signal: AbortSignal,
  ): Promise<LandEvent> {
    signal.throwIfAborted();
    const config = this.#config();
    let hasAdvanced = false;
    let mayMake = false;
    const isIn = (records: readonly UndoRecord[], record: UndoRecord) =>
      records.some((one) => isSameRecord(one, record));
    try {
      const facts = await landVm(source, {
        config,
        workDirectory: join(config.spool.work, job),
        signal,
        log: forwarding(send),
        progress: (progress) => send({ event: 'progress', progress }),
        account: ({ read = 0, written = 0 }) => send({ event: 'account', read, written }),
        advanced() {
          if (!hasAdvanced) send({ event: 'advanced' });
          hasAdvanced = true;
        },
        undoing: {
          job,
          known: undo.filter((record) => !isIn(fresh, record)),
          async record(records) {
            if (records.some((record) => !isIn(undo, record))) throw new NotRecorded(records);
            mayMake = true;
          },
          async forget(records) {
            send({ event: 'undone', undo: [...records] });
          },
          isKept: true,
        },
        async reserve(bytes, { written = 0 } = {}) {
          if (bytes > reserved) throw new NotReserved(bytes, written);
        },
      });
      this.#log.info({ job, connection: source.connection, bytes: facts.bytes }, 'VM fetched');
      return { event: 'landed', facts };
    } catch (error) {
      if (!mayMake && fresh.length > 0) send({ event: 'undone', undo: fresh });
      if (error instanceof NotRecorded) return { event: 'makes', undo: [...error.records] };
      if (error instanceof NotReserved) return { event: 'needs', bytes: error.bytes, written: error.written };
      throw error;
    }
  }
}

/** The sizes are known now, and the daemon must reserve that much. */
class NotReserved extends Error {
  readonly bytes: number;
  readonly written: number;

  constructor(bytes: number, written: number) {
    super('not reserved');
    this.bytes = bytes;
    this.written = written;
  }
}

/** The transport is about to make something, and the daemon must record that first. */
class NotRecorded extends Error {
  readonly records: readonly UndoRecord[];

  constructor(records: readonly UndoRecord[]) {
    super('not recorded');
    this.records = records;
  }
}

const LEVELS = { 20: 'debug', 30: 'info', 40: 'warn', 50: 'error' } as const;

/** Returns a log whose lines appear in the job's log of the daemon. */
function forwarding(send: (event: LandEvent) => void): Logger {
  return pino(
    { level: 'debug', base: null, timestamp: false },
    {
      write(line: string) {
        const { level, msg, ...facts } = JSON.parse(line) as { level: keyof typeof LEVELS; msg: string };
        send({ event: 'log', level: LEVELS[level] ?? 'error', text: msg, facts });
      },
    },
  );
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size > LARGEST_BODY_BYTES)
      throw new Hyper2kvmError('api.bad-request', 'the request is too large', {
        advice: `Send at most ${LARGEST_BODY_BYTES} bytes.`,
      });
  }
  return Buffer.concat(chunks).toString('utf8');
}

function socketError(message: string, cause?: unknown): Hyper2kvmError {
  return new Hyper2kvmError('api.socket', message, {
    advice: 'Set remote.socket to a path that this user may create.',
    cause,
  });
}
