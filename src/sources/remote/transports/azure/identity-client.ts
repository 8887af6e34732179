import { createHttpHeaders, type HttpClient } from '@azure/core-rest-pipeline';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { contentOf } from '../http/content.js';
import { statusError } from '../http/errors.js';
import type { Exchange, Method } from '../http/exchange.js';

const MAX_ANSWER_BYTES = 1024 * 1024;
const ANSWER_MILLISECONDS = 60_000;
const METHODS: readonly Method[] = ['GET', 'POST', 'PUT', 'DELETE'];
/** The metadata service that gives a VM of Azure its tokens has no TLS; it is not on a network. */
const PLAIN = /^(localhost|127(\.\d{1,3}){3}|\[::1\]|169\.254\.169\.254)$/;

/**
 * Returns a client for the libraries of Azure that sends their requests as all others are sent: certificates are
 * verified by the connection's own rule, and no proxy of the environment is used. `takeFailure` returns why the last
 * request had no answer, which the libraries put into words of theirs.
 */
export function identityClient(exchange: Exchange): {
  client: HttpClient;
  takeFailure(): Hyper2kvmError | null;
} {
  let failure: Hyper2kvmError | null = null;
  const send: HttpClient['sendRequest'] = async (request) => {
    const url = new URL(request.url);
    const method = METHODS.find((known) => known === request.method);
    const isSafe = url.protocol === 'https:' || (url.protocol === 'http:' && PLAIN.test(url.hostname));
    if (method === undefined || !isSafe)
      throw new Hyper2kvmError('remote.not-allowed', `${request.method} to ${url.origin} is not sent`);
    const signal = AbortSignal.timeout(ANSWER_MILLISECONDS);
    const { 'accept-encoding': _, ...headers } = request.headers.toJSON();
    const body = typeof request.body === 'string' ? { body: request.body } : {};
    const answer = await exchange.call(url, { method, headers, ...body }, signal);
    const bodyAsText = (await contentOf(answer, MAX_ANSWER_BYTES, signal)).toString('utf8');
    // The libraries make the same error of these as of a wrong secret.
    if (answer.status === 429 || answer.status >= 500)
      throw statusError(answer.status, answer.origin, {
        retryAfter: answer.headers['retry-after'],
        body: '',
      });
    const given = Object.entries(answer.headers).map(([name, value]) => [name, `${value}`] as const);
    return {
      request,
      status: answer.status,
      headers: createHttpHeaders(Object.fromEntries(given)),
      bodyAsText,
    };
  };
  return {
    client: {
      sendRequest: (request) =>
        send(request).catch((error: unknown) => {
          if (error instanceof Hyper2kvmError) failure = error;
          throw error;
        }),
    },
    takeFailure() {
      const taken = failure;
      failure = null;
      return taken;
    },
  };
}
