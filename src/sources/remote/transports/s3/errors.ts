import { childrenNamed, parseXml, type XmlElement } from '../../../../disk/ovf/xml.js';
import type { ErrorCode } from '../../../../errors/catalogue.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';
import type { Refusal } from '../http/exchange.js';

/** An answer of S3 whose code is known. */
export class S3Error extends Hyper2kvmError {
  readonly s3Code: string;

  constructor(
    code: ErrorCode,
    s3Code: string,
    message: string,
    options: { advice?: string; retryable?: boolean },
  ) {
    super(code, message, options);
    this.s3Code = s3Code;
  }
}

interface Meaning {
  code: ErrorCode;
  advice?: string;
  retryable?: true;
}

const SEE_KEY =
  'Check `access_key` of the connection, and its credential: the file has the secret key alone.';

/** What S3's codes mean for a read; for all others the status decides. */
const MEANINGS: ReadonlyMap<string, Meaning> = new Map(
  Object.entries<Meaning>({
    InvalidAccessKeyId: { code: 'remote.auth', advice: SEE_KEY },
    SignatureDoesNotMatch: { code: 'remote.auth', advice: SEE_KEY },
    InvalidToken: {
      code: 'remote.auth',
      advice: `${SEE_KEY} Its second line is the session token of temporary keys.`,
    },
    InvalidSecurity: { code: 'remote.auth', advice: SEE_KEY },
    ExpiredToken: { code: 'remote.expired' },
    RequestExpired: { code: 'remote.expired' },
    TokenRefreshRequired: { code: 'remote.expired' },
    AccessDenied: {
      code: 'remote.permission',
      advice:
        'The key needs `s3:GetObject` on this object. S3 also answers so for an object that does not exist, if the key may not list the bucket.',
    },
    InvalidObjectState: {
      code: 'remote.permission',
      advice: 'The object is in an archive tier (Glacier): restore it first, then `hyper2kvm retry` the job.',
    },
    NoSuchBucket: { code: 'remote.not-found', advice: 'Check `bucket` and `url` of the connection.' },
    NoSuchKey: {
      code: 'remote.not-found',
      advice: 'Check `vm` of the job.toml: the key as the console shows it, without the bucket.',
    },
    RequestTimeout: { code: 'remote.timeout', retryable: true },
  }),
);

const ELSEWHERE = new Set([
  'AuthorizationHeaderMalformed',
  'IncorrectEndpoint',
  'PermanentRedirect',
  'TemporaryRedirect',
]);

/** Returns the error that an answer of S3 stands for; null if its status says it all. */
export function s3Refusal(status: number, origin: string, { headers, body }: Refusal): Hyper2kvmError | null {
  // The status of these has the time to wait, and is told apart by every HTTP server alike.
  if (status === 429 || status === 503) return null;
  const answer = errorElement(body);
  const s3Code = wordOf(answer, 'Code', /^[A-Za-z][A-Za-z0-9.]{0,63}$/);
  const isRedirect = status >= 300 && status < 400;
  if (s3Code === null && !isRedirect) return null;
  const message = `${origin}: the server answered ${[status, s3Code].filter((part) => part !== null).join(' ')}`;
  if (isRedirect || ELSEWHERE.has(s3Code ?? '')) return elsewhere(s3Code ?? '', message, answer, headers);
  if (s3Code === 'RequestTimeTooSkewed') return skewed(message, answer, headers);
  const { code, ...options } = MEANINGS.get(s3Code ?? '') ?? meaningOf(status);
  if (code === null) return null;
  const words = code === 'remote.permission' ? printable(textOf(answer, 'Message'), 300) : '';
  return new S3Error(code, s3Code ?? '', words === '' ? message : `${message} (${words})`, options);
}

function meaningOf(status: number): Meaning | { code: null } {
  if (status === 401) return { code: 'remote.auth', advice: SEE_KEY };
  return { code: status === 400 || status === 403 ? 'remote.permission' : null };
}

/** The bucket is in another region, or behind another endpoint. */
function elsewhere(
  s3Code: string,
  message: string,
  answer: XmlElement | undefined,
  headers: Refusal['headers'],
): S3Error {
  const region =
    wordOf(answer, 'Region', REGION) ?? REGION.exec(`${headers['x-amz-bucket-region'] ?? ''}`)?.[0] ?? null;
  const location = headers.location ?? '';
  const endpoint =
    wordOf(answer, 'Endpoint', HOST) ??
    (URL.canParse(location) ? (HOST.exec(new URL(location).host)?.[0] ?? null) : null);
  const settings = [
    region === null ? [] : [`region = "${region}"`],
    endpoint === null ? [] : [`url = "https://${endpoint}"`],
  ].flat();
  const code = s3Code === 'AuthorizationHeaderMalformed' ? 'remote.auth' : 'remote.not-allowed';
  const advice =
    settings.length === 0
      ? 'Set `region` and `url` of the connection to those of the bucket.'
      : `The server names other settings for the connection: ${settings.join(', ')}.`;
  return new S3Error(code, s3Code, message, { advice });
}

const REGION = /^[A-Za-z0-9-]{1,64}$/;
const HOST = /^[A-Za-z0-9.-]{1,253}(:\d{1,5})?$/;

function skewed(message: string, answer: XmlElement | undefined, headers: Refusal['headers']): S3Error {
  const server = Date.parse(textOf(answer, 'ServerTime') || (headers.date ?? ''));
  const minutes = Math.round(Math.abs(Date.now() - server) / 60_000);
  const by = Number.isFinite(minutes) ? ` by ${minutes} min` : '';
  return new S3Error('remote.auth', 'RequestTimeTooSkewed', message, {
    advice: `This host’s clock differs from the server’s${by}: set it (\`timedatectl set-ntp true\`), then \`hyper2kvm retry\` the job.`,
  });
}

/** Undefined for what is not an error of S3: a page of a proxy, half a document. */
function errorElement(body: string): XmlElement | undefined {
  try {
    const root = parseXml(Buffer.from(body));
    return root.name === 'Error' ? root : childrenNamed(root, 'Error')[0];
  } catch (error) {
    if (error instanceof Hyper2kvmError) return undefined;
    throw error;
  }
}

function textOf(element: XmlElement | undefined, name: string): string {
  return childrenNamed(element, name)[0]?.text ?? '';
}

function wordOf(element: XmlElement | undefined, name: string, form: RegExp): string | null {
  const text = textOf(element, name);
  return form.test(text) ? text : null;
}
