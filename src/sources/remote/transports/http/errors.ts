import { errorCode } from '../../../../errors/errno.js';
import { Hyper2kvmError } from '../../../../errors/error.js';

const LONGEST_WAIT_SECONDS = 600;
const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTDOWN',
  'ENETDOWN',
]);

/** An error that the server answered with how long to wait. */
class BusyError extends Hyper2kvmError {
  readonly waitSeconds: number | null;

  constructor(message: string, waitSeconds: number | null) {
    super('remote.busy', message, { retryable: true });
    this.waitSeconds = waitSeconds;
  }
}

/** Turns what a connection failed with into an error of ours. `server` is host and port. */
export function connectionError(cause: unknown, server: string): unknown {
  if (cause instanceof Hyper2kvmError) return cause;
  const code = errorCode(cause) ?? '';
  const text = cause instanceof Error ? cause.message : String(cause);
  if (UNREACHABLE.has(code))
    return passing('remote.unreachable', `${server} cannot be reached: ${code}`, cause);
  if (code === 'ETIMEDOUT') return passing('remote.timeout', `${server} does not answer`, cause);
  if (/^(CERT_|ERR_TLS|ERR_SSL|UNABLE_TO|DEPTH_ZERO|SELF_SIGNED|ERR_OSSL)/.test(code) || code === 'EPROTO')
    return new Hyper2kvmError('remote.tls', `${server} does not speak TLS as expected: ${text}`, { cause });
  return passing('remote.interrupted', `the transfer from ${server} broke off: ${text}`, cause);
}

export function interrupted(message: string, cause?: unknown): Hyper2kvmError {
  return passing('remote.interrupted', message, cause);
}

/**
 * An answer that ended by its own account and has fewer bytes than the file. Proxies do that, too, so that it is asked
 * for again; where it stays so, the landing ends with it.
 */
export function truncated(message: string): Hyper2kvmError {
  return new Hyper2kvmError('remote.truncated', message, { retryable: true });
}

export function tooLate(server: string, milliseconds: number): Hyper2kvmError {
  return passing(
    'remote.timeout',
    `${server} has not answered completely in ${milliseconds / 1000} seconds`,
    undefined,
  );
}

function passing(
  code: 'remote.unreachable' | 'remote.timeout' | 'remote.interrupted',
  message: string,
  cause: unknown,
): Hyper2kvmError {
  return new Hyper2kvmError(code, message, { retryable: true, cause });
}

/** Marks of S3, Azure and Google in the body of a 403 for what was allowed once. */
const EXPIRED = /<Code>\s*(ExpiredToken|RequestExpired)|Request has expired|Signed expiry time|expired/i;

/** Returns the error for an answer that is not the file. `origin` is host, port and path, without the query. */
export function statusError(
  status: number,
  origin: string,
  { retryAfter, body }: { retryAfter: string | undefined; body: string },
): Hyper2kvmError {
  const answer = `${origin}: the server answered ${status}`;
  if (status === 429 || status === 503) return new BusyError(answer, waitSeconds(retryAfter));
  if (status === 401) return new Hyper2kvmError('remote.auth', answer);
  if (status === 404 || status === 410) return new Hyper2kvmError('remote.not-found', answer);
  if (status === 403 && EXPIRED.test(body)) return new Hyper2kvmError('remote.expired', answer);
  if (status === 408 || status === 504) return passing('remote.timeout', answer, undefined);
  if (status === 412 || status === 416)
    return interrupted(`${answer}: the file has changed since it was opened`);
  if (status >= 400 && status < 500) return new Hyper2kvmError('remote.permission', answer);
  return interrupted(answer);
}

/** Retry-After: seconds, or a date (RFC 9110, 10.2.3). */
function waitSeconds(header: string | undefined): number | null {
  if (header === undefined) return null;
  const seconds = /^\d{1,9}$/.test(header.trim()) ? Number(header) : (Date.parse(header) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.min(Math.max(0, seconds), LONGEST_WAIT_SECONDS) : null;
}
