import {
  type Agent,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as plainRequest,
  type RequestOptions,
} from 'node:http';
import { request as tlsRequest } from 'node:https';
import { urlToHttpOptions } from 'node:url';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';
import { checkedAgent, type Trust } from './connect.js';
import { connectionError, interrupted, statusError, tooLate } from './errors.js';
import { isAmong, type NamedHost } from './named-hosts.js';

/** An answer whose body must be read or destroyed. */
export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: IncomingMessage;
  /** Host, port and path that answered, without the query: data may come from another host than asked. */
  origin: string;
}

export interface ExchangeSettings {
  trust: Trust;
  /** Where the server may redirect to. */
  redirectHosts: readonly NamedHost[];
  /** Returns what is sent to the connection's own server only. */
  secret(): Promise<Secret>;
  /** Replaces a secret that the server has refused (401), and returns whether it is worth another request. */
  renew?(refused: Secret, signal: AbortSignal): Promise<boolean>;
  /**
   * Returns headers that sign a request to the connection's own server. Such requests follow no redirects: a
   * signature is for one address.
   */
  sign?(url: URL): Promise<Record<string, string>>;
  /** Returns the error for an answer that means something else where this server keeps files. */
  refusal?(status: number, origin: string, answer: Refusal): Hyper2kvmError | null;
  parallel: number;
  /** How long a server may send nothing: a minute, if not set. */
  idleMilliseconds?: number;
  /** Says for people where a file is, where its path is a secret; host and path, if not set. */
  describe?(url: URL): string;
}

/** What an answer says beside its status. */
export interface Refusal {
  headers: IncomingHttpHeaders;
  /** Its beginning. */
  body: string;
}

/** A header, or the query of a signed URL. */
export interface Secret {
  headers: Record<string, string>;
  query: string;
}

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

const IDLE_MILLISECONDS = 60_000;
/** For the head of an answer, and for a body that only explains a refusal: one that dribbles is never silent. */
const ANSWER_MILLISECONDS = 120_000;
const MAX_REDIRECTS = 5;
const MAX_ERROR_BODY = 8 * 1024;
/** A session may have expired; one that is refused when it is new is of no use. */
const MAX_RENEWALS = 1;

/** Requests to one server, with its connections kept open. */
export class Exchange {
  readonly #base: URL;
  readonly #settings: ExchangeSettings;
  readonly #agents = new Map<string, Agent>();

  constructor(base: URL, settings: ExchangeSettings) {
    this.#base = base;
    this.#settings = settings;
  }

  /**
   * Sends a GET and returns its answer if the status is among `expected`; any other is thrown as `remote.*`.
   * `query` is added to that of the secret.
   */
  async get(
    url: URL,
    headers: Record<string, string>,
    expected: readonly number[],
    { query = '', signal }: { query?: string; signal: AbortSignal },
  ): Promise<Answer> {
    for (let renewals = 0; ; renewals += 1) {
      const secret = await this.#settings.secret();
      try {
        return await this.#follow(withQuery(url, query), headers, expected, secret, signal);
      } catch (error) {
        const isRefused = error instanceof Hyper2kvmError && error.code === 'remote.auth';
        if (!isRefused || renewals >= MAX_RENEWALS) throw error;
        if ((await this.#settings.renew?.(secret, signal)) !== true) throw error;
      }
    }
  }

  /** Sends a POST without the secret and without following redirects; otherwise like `get`. */
  async post(
    url: URL,
    headers: Record<string, string>,
    expected: readonly number[],
    { body, signal }: { body: string; signal: AbortSignal },
  ): Promise<Answer> {
    const answer = await this.#send(url, { method: 'POST', headers, body }, signal);
    if (expected.includes(answer.status)) return answer;
    throw await this.#refused(answer, null);
  }

  /** Sends a request without the secret and without following redirects. Returns the answer, whatever its status. */
  call(
    url: URL,
    request: { method: Method; headers: Record<string, string>; body?: string },
    signal: AbortSignal,
  ): Promise<Answer> {
    return this.#send(url, request, signal);
  }

  async #follow(
    url: URL,
    headers: Record<string, string>,
    expected: readonly number[],
    { headers: secretHeaders, query: secretQuery }: Secret,
    signal: AbortSignal,
  ): Promise<Answer> {
    let target = withQuery(url, secretQuery);
    for (let hops = 0; hops <= MAX_REDIRECTS; hops += 1) {
      const isOwn = target.origin === this.#base.origin;
      const signature = isOwn ? await this.#settings.sign?.(target) : undefined;
      const own = { ...headers, ...(isOwn ? secretHeaders : {}), ...signature };
      const answer = await this.#send(target, { method: 'GET', headers: own }, signal);
      const { location } = answer.headers;
      const isRedirect = [301, 302, 303, 307, 308].includes(answer.status) && location !== undefined;
      if (isRedirect && signature === undefined) {
        answer.body.destroy();
        target = this.#redirected(target, location, answer.origin);
        continue;
      }
      if (expected.includes(answer.status)) return answer;
      throw await this.#refused(answer);
    }
    throw new Hyper2kvmError('remote.not-allowed', `${this.#originOf(url)} redirects in circles`);
  }

  /** Returns the status of a GET without the secret, whatever it is, to see that the server answers. */
  async status(url: URL, signal: AbortSignal): Promise<number> {
    const answer = await this.#send(url, { method: 'GET', headers: { range: 'bytes=0-0' } }, signal);
    answer.body.destroy();
    return answer.status;
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
  }

  async #refused(
    { status, origin, headers, body }: Answer,
    refusal: ExchangeSettings['refusal'] | null = this.#settings.refusal,
  ): Promise<Hyper2kvmError> {
    const text = await textOf(body);
    const retryAfter = headers['retry-after'];
    return (
      refusal?.(status, origin, { headers, body: text }) ??
      statusError(status, origin, { retryAfter, body: text })
    );
  }

  /** Stays on the server, except for the hosts that the connection names. Never leaves TLS. */
  #redirected(from: URL, location: string, origin: string): URL {
    const to = URL.canParse(location, from.href) ? new URL(location, from) : null;
    const isNamed = to !== null && (to.host === this.#base.host || isAmong(to, this.#settings.redirectHosts));
    const isHttp = to?.protocol === 'https:' || (to?.protocol === 'http:' && from.protocol === 'http:');
    if (to !== null && isNamed && isHttp) return to;
    throw new Hyper2kvmError(
      'remote.not-allowed',
      `${origin} redirects to ${to === null ? 'an invalid address' : printable(`${to.protocol}//${to.host}`)}, which the connection does not name`,
    );
  }

  #originOf(url: URL): string {
    return this.#settings.describe?.(url) ?? printable(`${url.host}${url.pathname}`);
  }

  #agent(protocol: string): Agent {
    const known = this.#agents.get(protocol);
    if (known !== undefined) return known;
    const agent = checkedAgent(protocol, this.#settings.trust, this.#settings.parallel);
    this.#agents.set(protocol, agent);
    return agent;
  }

  #send(
    url: URL,
    { method, headers, body }: { method: Method; headers: Record<string, string>; body?: string },
    signal: AbortSignal,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const options: RequestOptions = {
        ...urlToHttpOptions(url),
        method,
        agent: this.#agent(url.protocol),
        headers: { 'accept-encoding': 'identity', 'user-agent': 'hyper2kvm', ...headers },
        signal,
      };
      const request = url.protocol === 'https:' ? tlsRequest(options) : plainRequest(options);
      const { idleMilliseconds: idle = IDLE_MILLISECONDS } = this.#settings;
      request.setTimeout(idle, () =>
        request.destroy(
          new Hyper2kvmError('remote.timeout', `${url.host} sent nothing for ${idle / 60_000} min`, {
            retryable: true,
          }),
        ),
      );
      const late = setTimeout(
        () => request.destroy(tooLate(url.host, ANSWER_MILLISECONDS)),
        ANSWER_MILLISECONDS,
      );
      for (const event of ['response', 'close']) request.once(event, () => clearTimeout(late));
      request.once('error', (error) =>
        reject(signal.aborted ? signal.reason : connectionError(error, url.host)),
      );
      request.once('response', (answer) =>
        resolve({
          status: answer.statusCode ?? 0,
          headers: answer.headers,
          body: answer,
          origin: this.#originOf(url),
        }),
      );
      // After neither of these: an answer 101, which nobody asked for.
      request.once('close', () =>
        reject(
          signal.aborted ? signal.reason : interrupted(`${this.#originOf(url)}: the server did not answer`),
        ),
      );
      request.end(body);
    });
  }
}

/** Adds a query without encoding it again: that of a signed URL must stay as it was signed. */
function withQuery(url: URL, query: string): URL {
  if (query === '') return url;
  const joined = new URL(url);
  joined.search = joined.search === '' ? query : `${joined.search}&${query}`;
  return joined;
}

/** Returns the beginning of a body that explains a refusal. */
async function textOf(body: IncomingMessage): Promise<string> {
  let text = '';
  const late = setTimeout(() => body.destroy(), ANSWER_MILLISECONDS);
  try {
    for await (const chunk of body) {
      text += (chunk as Buffer).toString('utf8');
      if (text.length > MAX_ERROR_BODY) break;
    }
  } catch {
    // The status alone says enough.
  }
  clearTimeout(late);
  body.destroy();
  return text;
}
