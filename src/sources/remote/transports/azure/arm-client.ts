import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { ErrorCode } from '../../../../errors/catalogue.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';
import { contentOf } from '../http/content.js';
import { interrupted, statusError } from '../http/errors.js';
import type { Answer, Exchange, Method } from '../http/exchange.js';
import type { Token } from './token.js';

const COMPUTE_VERSION = '2024-03-02';
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
const DEFAULT_WAIT_SECONDS = 2;
const LONGEST_WAIT_SECONDS = 60;
/** A snapshot or an access takes minutes at most. */
const OPERATION_MILLISECONDS = 60 * 60_000;

const errorForm = z.object({
  error: z.object({ code: z.string().max(200), message: z.string().catch('') }),
});
const operationForm = z.object({ status: z.string() });

/** An answer of Azure Resource Manager whose code is known. */
export class ArmError extends Hyper2kvmError {
  readonly armCode: string;
  readonly status: number;

  constructor(
    code: ErrorCode,
    message: string,
    arm: { status: number; armCode: string },
    retryable: boolean,
  ) {
    super(code, message, { retryable });
    this.armCode = arm.armCode;
    this.status = arm.status;
  }
}

/** Requests to Azure Resource Manager, which end when what they ask for is done. */
export class ArmClient {
  readonly #base: URL;
  readonly #exchange: Exchange;
  readonly #token: Token;

  constructor(base: URL, exchange: Exchange, token: Token) {
    this.#base = base;
    this.#exchange = exchange;
    this.#token = token;
  }

  /** Returns a resource. Throws `remote.not-found` and others. */
  async get(
    path: string,
    signal: AbortSignal,
    { version = COMPUTE_VERSION, query = '' } = {},
  ): Promise<unknown> {
    return this.#json(await this.#send('GET', this.#url(path, version, query), null, signal), signal);
  }

  /** Sends a change and waits until it is done. Returns its result; null if it has none. */
  async run(method: Method, path: string, body: object | null, signal: AbortSignal): Promise<unknown> {
    const until = performance.now() + OPERATION_MILLISECONDS;
    let answer = await this.#send(method, this.#url(path, COMPUTE_VERSION, ''), body, signal);
    const status = pollAddress(answer, 'azure-asyncoperation');
    const result = pollAddress(answer, 'location');
    const isBegun = answer.status === 201 || answer.status === 202;
    if (!isBegun || (status === null && result === null)) return this.#json(answer, signal);
    const address = result ?? status!;
    for (;;) {
      await this.#wait(answer, signal);
      answer.body.destroy();
      if (performance.now() > until)
        throw new Hyper2kvmError('remote.timeout', `${answer.origin} is not done after an hour`, {
          retryable: true,
        });
      answer = await this.#send('GET', this.#own(address), null, signal);
      if (answer.status === 202) continue;
      const value = await this.#json(answer, signal);
      if (result !== null) return value;
      const state = operationForm.safeParse(value).data?.status;
      if (state === undefined) throw interrupted(`${answer.origin}: the answer has no status`);
      if (state === 'Succeeded') return value;
      if (state === 'Failed' || state === 'Canceled') throw failed(answer, value);
    }
  }

  #url(path: string, version: string, query: string): URL {
    const url = new URL(this.#base);
    url.pathname = `${this.#base.pathname.replace(/\/$/, '')}${path}`;
    url.search = [`api-version=${version}`, query].filter(Boolean).join('&');
    return url;
  }

  /** The token is sent nowhere else. */
  #own(address: string): URL {
    const url = URL.canParse(address) ? new URL(address) : null;
    if (url?.origin === this.#base.origin) return url;
    throw new Hyper2kvmError(
      'remote.not-allowed',
      `${this.#base.host} refers to ${printable(url?.origin ?? address, 100)}`,
    );
  }

  async #wait({ headers }: Answer, signal: AbortSignal): Promise<void> {
    const given = Number(headers['retry-after'] ?? DEFAULT_WAIT_SECONDS);
    const seconds = Number.isFinite(given)
      ? Math.min(Math.max(0, given), LONGEST_WAIT_SECONDS)
      : DEFAULT_WAIT_SECONDS;
    await sleep(seconds * 1000, undefined, { signal }).catch(() => undefined);
    signal.throwIfAborted();
  }

  async #send(method: Method, url: URL, body: object | null, signal: AbortSignal): Promise<Answer> {
    const headers = {
      authorization: `Bearer ${await this.#token(signal)}`,
      accept: 'application/json',
      ...(body === null ? {} : { 'content-type': 'application/json' }),
      ...(body === null && method === 'POST' ? { 'content-length': '0' } : {}),
    };
    const text = body === null ? {} : { body: JSON.stringify(body) };
    const answer = await this.#exchange.call(url, { method, headers, ...text }, signal);
    if (answer.status >= 200 && answer.status < 300) return answer;
    throw await this.#refused(answer, signal);
  }

  async #refused(answer: Answer, signal: AbortSignal): Promise<Hyper2kvmError> {
    const content = await contentOf(answer, MAX_ANSWER_BYTES, signal);
    const { status, origin, headers } = answer;
    const other = statusError(status, origin, { retryAfter: headers['retry-after'], body: '' });
    return armError(status, origin, jsonOf(content)) ?? other;
  }

  async #json(answer: Answer, signal: AbortSignal): Promise<unknown> {
    const content = await contentOf(answer, MAX_ANSWER_BYTES, signal);
    if (content.length === 0) return null;
    const value = jsonOf(content);
    if (value === undefined) throw interrupted(`${answer.origin}: the answer is not JSON`);
    return value;
  }
}

function pollAddress({ headers }: Answer, name: 'azure-asyncoperation' | 'location'): string | null {
  const value = headers[name];
  return typeof value === 'string' ? value : null;
}

function jsonOf(content: Buffer): unknown {
  try {
    return JSON.parse(content.toString('utf8')) as unknown;
  } catch {
    // Of a proxy, or cut: the status says what there is to say.
    return undefined;
  }
}

/** An operation that was begun and has failed: another attempt may succeed. */
function failed({ origin }: Answer, value: unknown): Hyper2kvmError {
  return armError(409, origin, value) ?? interrupted(`${origin}: the operation failed`);
}

/** Null for what has no code of Azure's, and for a status that says it all. */
function armError(status: number, origin: string, value: unknown): ArmError | null {
  const parsed = errorForm.safeParse(value);
  if (!parsed.success || status === 429 || status >= 500) return null;
  const { code: armCode, message } = parsed.data.error;
  const words = `${origin}: ${printable(armCode, 100)} (${printable(message, 400)})`;
  const [code, retryable] = meaningOf(status);
  return new ArmError(code, words, { status, armCode }, retryable);
}

function meaningOf(status: number): [code: ErrorCode, retryable: boolean] {
  if (status === 401) return ['remote.auth', false];
  if (status === 404) return ['remote.not-found', false];
  // Held by another operation or access; 412 and 423 are the same of other services.
  if (status === 409) return ['remote.locked', true];
  return ['remote.permission', false];
}
