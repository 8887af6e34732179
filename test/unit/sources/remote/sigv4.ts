import { createHash, createHmac } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** A request as it came over the wire. */
export interface SignedRequest {
  method: string;
  url: string;
  headers: IncomingHttpHeaders;
}

const FORM =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/;

/** Parses the Authorization header; null for another form. */
export function parseAuthorization(header: string | undefined) {
  const match = FORM.exec(header ?? '');
  if (match === null) return null;
  const [, accessKey = '', day = '', region = '', service = '', names = '', signature = ''] = match;
  return { accessKey, day, region, service, signed: names.split(';'), signature };
}

/** Returns the signature that a request must have, as AWS describes it (Signature Version 4, in headers). */
export function signatureOf(
  { method, url, headers }: SignedRequest,
  { day, region, service, signed }: { day: string; region: string; service: string; signed: string[] },
  secretKey: string,
): string {
  const [path = '', query = ''] = url.split('?');
  const canonical = [
    method,
    path.split('/').map(reencoded).join('/'),
    query
      .split('&')
      .filter((pair) => pair !== '')
      .map((pair) => pair.split('=').map(reencoded))
      .map(([name, value = '']) => `${name}=${value}`)
      .sort()
      .join('&'),
    ...signed.map((name) => `${name}:${`${headers[name] ?? ''}`.trim().replaceAll(/ +/g, ' ')}`),
    '',
    signed.join(';'),
    headers['x-amz-content-sha256'],
  ].join('\n');
  const digest = createHash('sha256').update(canonical).digest('hex');
  const scope = `${day}/${region}/${service}/aws4_request`;
  const text = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope, digest].join('\n');
  const key = [day, region, service, 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${secretKey}`);
  return hmac(key, text).toString('hex');
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

/** Every byte but those that RFC 3986 calls unreserved. */
function reencoded(part: string): string {
  return [...Buffer.from(decodeURIComponent(part))]
    .map((byte) => {
      const character = String.fromCharCode(byte);
      const hex = byte.toString(16).toUpperCase().padStart(2, '0');
      return /[A-Za-z0-9._~-]/.test(character) ? character : `%${hex}`;
    })
    .join('');
}
