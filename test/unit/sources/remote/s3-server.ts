import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Behaviour, FileServer } from './file-server.js';
import { parseAuthorization, signatureOf } from './sigv4.js';

const SKEW_MILLISECONDS = 15 * 60_000;
const ACCESS_KEY = 'AKIDEXAMPLE';

interface Instead {
  status: number;
  xml?: string;
  headers?: Record<string, string>;
}

/** An S3 store on loopback: verifies every signature, and answers errors as S3 does. */
export class S3Server {
  readonly files: FileServer;
  readonly accessKey = ACCESS_KEY;
  readonly region = 'eu-central-1';
  readonly bucket = 'vm-exports';
  secretKey = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
  /** Temporary keys have one. */
  sessionToken: string | null = null;
  /** How far its clock is ahead. */
  aheadMilliseconds = 0;
  /** Keys that may not be read. `''` is listing the bucket. */
  readonly denied = new Set<string>();
  /** Answers this instead, after the signature was verified. */
  instead: Instead | null = null;
  /** Requests whose signature was verified. */
  verified = 0;

  private constructor(files: FileServer) {
    this.files = files;
    this.behave({});
  }

  static async start(tls?: { key: string; cert: string }): Promise<S3Server> {
    return new S3Server(await FileServer.start(tls));
  }

  get connection() {
    const { accessKey, region, bucket } = this;
    return { type: 's3', url: this.files.url, region, bucket, access_key: accessKey, secret: 's3' };
  }

  behave(behaviour: Omit<Behaviour, 'instead'>): void {
    this.files.behaviour = {
      ...behaviour,
      instead: (request, response) => this.#refuse(request, response),
    };
  }

  put(key: string, bytes: Buffer): void {
    this.files.serve(`/${this.bucket}/${key}`, bytes);
  }

  #refuse(request: IncomingMessage, response: ServerResponse): boolean {
    const error = this.#errorOf(request);
    if (error === null) return false;
    const body = error.xml === undefined ? '' : `<?xml version="1.0" encoding="UTF-8"?>\n${error.xml}`;
    response.writeHead(error.status, { 'content-type': 'application/xml', ...error.headers }).end(body);
    return true;
  }

  #errorOf({ method, url, headers }: IncomingMessage): Instead | null {
    const given = parseAuthorization(headers.authorization);
    if (given === null) return failure(403, 'AccessDenied', '<Message>Access Denied</Message>');
    if (given.accessKey !== this.accessKey) return failure(403, 'InvalidAccessKeyId');
    const stamp = `${headers['x-amz-date']}`.replace(
      /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/,
      '$1-$2-$3T$4:$5:$6Z',
    );
    const now = Date.now() + this.aheadMilliseconds;
    if (!(Math.abs(now - Date.parse(stamp)) < SKEW_MILLISECONDS))
      return failure(403, 'RequestTimeTooSkewed', `<ServerTime>${new Date(now).toISOString()}</ServerTime>`);
    if (given.region !== this.region)
      return failure(400, 'AuthorizationHeaderMalformed', `<Region>${this.region}</Region>`);
    const token = headers['x-amz-security-token'] ?? null;
    if (token !== this.sessionToken) return failure(400, 'InvalidToken', `<Token-0>${token}</Token-0>`);
    const isWhole = ['host', 'x-amz-date', 'x-amz-content-sha256'].every((name) =>
      given.signed.includes(name),
    );
    const bodyDigest = createHash('sha256').update('').digest('hex');
    const expected = signatureOf({ method: method!, url: url!, headers }, given, this.secretKey);
    if (!isWhole || headers['x-amz-content-sha256'] !== bodyDigest || given.signature !== expected)
      return failure(403, 'SignatureDoesNotMatch');
    this.verified += 1;
    if (this.instead !== null) return this.instead;
    return this.#errorOfKey(url!);
  }

  #errorOfKey(url: string): Instead | null {
    const [path = '', query = ''] = url.split('?');
    const [, bucket, ...parts] = decodeURIComponent(path).split('/');
    const key = parts.join('/');
    if (bucket !== this.bucket) return failure(404, 'NoSuchBucket');
    if (this.denied.has(key))
      return failure(
        403,
        'AccessDenied',
        '<Message>User is not authorized to perform: s3:GetObject</Message>',
      );
    if (key === '' && query.includes('list-type=2')) return { status: 200, xml: '<ListBucketResult/>' };
    return this.files.files.has(`/${bucket}/${key}`) ? null : failure(404, 'NoSuchKey');
  }
}

function failure(status: number, code: string, more = ''): Instead {
  return { status, xml: `<Error><Code>${code}</Code>${more}<RequestId>4442587FB7D0A2F9</RequestId></Error>` };
}
