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
import { connectionError, interrupted, statusError } from './errors.js';

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
  /** `host` or `host:port`, in lower case. */
  redirectHosts: readonly string[];
  /** Returns what is sent to the connection's own server only. */
  secret(): Promise<Secret>;
  parallel: number;
}

/** A header, or the query of a signed URL. */
export interface Secret {
  headers: Record<string, string>;
  query: string;
}

const IDLE_MILLISECONDS = 60_000;
const MAX_REDIRECTS = 5;
const MAX_ERROR_BODY = 8 * 1024;

/** GET requests to one server, with its connections kept open. */
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
    const { headers: secretHeaders, query: secretQuery } = await this.#settings.secret();
    let target = withQuery(withQuery(url, query), secretQuery);
    for (let hops = 0; hops <= MAX_REDIRECTS; hops += 1) {
      const isOwn = target.origin === this.#base.origin;
      const answer = await this.#send(target, { ...headers, ...(isOwn ? secretHeaders : {}) }, signal);
      const { location } = answer.headers;
      if ([301, 302, 303, 307, 308].includes(answer.status) && location !== undefined) {
        answer.body.destroy();
        target = this.#redirected(target, location, answer.origin);
        continue;
      }
      if (expected.includes(answer.status)) return answer;
      const retryAfter = answer.headers['retry-after'];
      throw statusError(answer.status, answer.origin, { retryAfter, body: await textOf(answer.body) });
    }
    throw new Hyper2kvmError('remote.not-allowed', `${originOf(url)} redirects in circles`);
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
  }

  /** Stays on the server, except for the hosts that the connection names. Never leaves TLS. */
  #redirected(from: URL, location: string, origin: string): URL {
    const to = URL.canParse(location, from.href) ? new URL(location, from) : null;
    const isNamed =
      to !== null &&
      (to.host === this.#base.host ||
        this.#settings.redirectHosts.includes(to.host) ||
        this.#settings.redirectHosts.includes(to.hostname));
    const isHttp = to?.protocol === 'https:' || (to?.protocol === 'http:' && from.protocol === 'http:');
    if (to !== null && isNamed && isHttp) return to;
    throw new Hyper2kvmError(
      'remote.not-allowed',
      `${origin} redirects to ${to === null ? 'an invalid address' : printable(`${to.protocol}//${to.host}`)}, which the connection does not name`,
    );
  }

  #agent(protocol: string): Agent {
    const known = this.#agents.get(protocol);
    if (known !== undefined) return known;
    const agent = checkedAgent(protocol, this.#settings.trust, this.#settings.parallel);
    this.#agents.set(protocol, agent);
    return agent;
  }

  #send(url: URL, headers: Record<string, string>, signal: AbortSignal): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const options: RequestOptions = {
        ...urlToHttpOptions(url),
        agent: this.#agent(url.protocol),
        headers: { 'accept-encoding': 'identity', 'user-agent': 'hyper2kvm', ...headers },
        signal,
      };
      const request = url.protocol === 'https:' ? tlsRequest(options) : plainRequest(options);
      request.setTimeout(IDLE_MILLISECONDS, () =>
        request.destroy(
          new Hyper2kvmError('remote.timeout', `${url.host} sent nothing for a minute`, { retryable: true }),
        ),
      );
      request.once('error', (error) =>
        reject(signal.aborted ? signal.reason : connectionError(error, url.host)),
      );
      request.once('response', (body) =>
        resolve({ status: body.statusCode ?? 0, headers: body.headers, body, origin: originOf(url) }),
      );
      // After neither of these: an answer 101, which nobody asked for.
      request.once('close', () =>
        reject(signal.aborted ? signal.reason : interrupted(`${originOf(url)}: the server did not answer`)),
      );
      request.end();
    });
  }
}

function originOf({ host, pathname }: URL): string {
  return printable(`${host}${pathname}`);
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
  try {
    for await (const chunk of body) {
      text += (chunk as Buffer).toString('utf8');
      if (text.length > MAX_ERROR_BODY) break;
    }
  } catch {
    // The status alone says enough.
  }
  body.destroy();
  return text;
}
