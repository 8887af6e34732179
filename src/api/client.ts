import { type IncomingMessage, request } from 'node:http';
import { type ErrorRecord, Hyper2kvmError } from '../errors/error.js';
import type { DaemonEvent } from './events.js';
import type { JobDetail, JobState, JobSummary, Status } from './protocol.js';

export interface JobFilter {
  state?: JobState | undefined;
  name?: string | undefined;
  /** A time that `new Date()` parses. */
  since?: string | undefined;
}

/**
 * The commands' side of the control socket, one method for each route of the protocol. Rejects with the
 * daemon's own errors (with their code and advice), `api.unreachable` if nothing answers, `api.not-permitted`
 * if this user may not use the socket.
 */
export class ControlClient {
  readonly #socket: string;

  constructor(socket: string) {
    this.#socket = socket;
  }

  status(): Promise<Status> {
    return this.#json('GET', '/v1/status');
  }

  async metrics(): Promise<string> {
    return textOf(await this.#request('GET', '/v1/metrics'));
  }

  jobs(filter: JobFilter = {}): Promise<JobSummary[]> {
    const given = Object.entries(filter).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const query = new URLSearchParams(given).toString();
    return this.#json('GET', `/v1/jobs${query === '' ? '' : `?${query}`}`);
  }

  /** `id` is a job's id, an unambiguous prefix of one, or a VM's name. */
  job(id: string): Promise<JobDetail> {
    return this.#json('GET', jobPath(id));
  }

  retry(id: string, settings: { from?: string; set?: Record<string, string> } = {}): Promise<JobSummary> {
    return this.#json('POST', `${jobPath(id)}/retry`, settings);
  }

  cutOver(id: string): Promise<JobSummary> {
    return this.#json('POST', `${jobPath(id)}/cutover`, {});
  }

  cancel(id: string): Promise<JobSummary> {
    return this.#json('POST', `${jobPath(id)}/cancel`, {});
  }

  priority(id: string, priority: number): Promise<JobSummary> {
    return this.#json('POST', `${jobPath(id)}/priority`, { priority });
  }

  pause(): Promise<Status> {
    return this.#json('POST', '/v1/pause', {});
  }

  resume(): Promise<Status> {
    return this.#json('POST', '/v1/resume', {});
  }

  drain(): Promise<Status> {
    return this.#json('POST', '/v1/drain', {});
  }

  /**
   * Yields log lines (JSON, without the line end), oldest first; with `follow` until the job is done or the
   * signal aborts.
   */
  async *logs(id: string, options: { follow?: boolean; signal?: AbortSignal } = {}): AsyncGenerator<string> {
    yield* this.#lines(`${jobPath(id)}/logs${options.follow ? '?follow=1' : ''}`, options.signal);
  }

  /** Yields events as they happen, until the signal aborts; see `daemonEventSchema`. */
  async *events(signal: AbortSignal): AsyncGenerator<DaemonEvent> {
    for await (const line of this.#lines('/v1/events', signal)) yield JSON.parse(line) as DaemonEvent;
  }

  async *#lines(path: string, signal?: AbortSignal): AsyncGenerator<string> {
    const response = await this.#request('GET', path, undefined, signal);
    response.setEncoding('utf8');
    let rest = '';
    try {
      for await (const chunk of response) {
        const lines = (rest + (chunk as string)).split('\n');
        rest = lines.pop() ?? '';
        yield* lines;
      }
    } catch (error) {
      // The caller has stopped reading.
      if (signal?.aborted) return;
      throw error;
    }
    if (rest !== '') yield rest;
  }

  async #json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.#request(method, path, body);
    return JSON.parse(await textOf(response)) as T;
  }

  async #request(
    method: string,
    path: string,
    body?: unknown,
    signal?: AbortSignal,
  ): Promise<IncomingMessage> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = body === undefined ? {} : { 'content-type': 'application/json' };
      const options = {
        socketPath: this.#socket,
        method,
        path,
        headers,
        ...(signal === undefined ? {} : { signal }),
      };
      const outgoing = request(options, resolve);
      outgoing.on('error', (cause: NodeJS.ErrnoException) => reject(unreachable(this.#socket, cause)));
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
    if (response.statusCode === 200) return response;
    throw daemonError(await textOf(response), response.statusCode ?? 0);
  }
}

function jobPath(id: string): string {
  return `/v1/jobs/${encodeURIComponent(id)}`;
}

async function textOf(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  let text = '';
  for await (const chunk of response) text += chunk as string;
  return text;
}

function daemonError(text: string, status: number): Hyper2kvmError {
  const error = errorOf(text);
  if (error === undefined) {
    return new Hyper2kvmError('api.bad-answer', `the daemon answered ${status} without a reason`);
  }
  return Hyper2kvmError.of(error.code, error.message, { advice: error.advice, retryable: error.retryable });
}

function errorOf(text: string): ErrorRecord | undefined {
  try {
    return (JSON.parse(text) as { error?: ErrorRecord }).error;
  } catch {
    // Not JSON: the answer is not from our daemon.
    return undefined;
  }
}

function unreachable(socket: string, cause: NodeJS.ErrnoException): unknown {
  if (cause.name === 'AbortError') return cause;
  if (cause.code === 'EACCES') {
    return new Hyper2kvmError('api.not-permitted', `permission denied on ${socket}`, {
      cause,
    });
  }
  return new Hyper2kvmError('api.unreachable', `no daemon answers on ${socket}`, {
    cause,
  });
}
