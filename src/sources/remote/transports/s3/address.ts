import type { S3Connection } from '../../../../config/connections.js';

/**
 * Returns the address of a bucket: below the endpoint, which every store has, unless the endpoint's own host
 * begins with the bucket's name.
 */
export function bucketUrl({ url, bucket }: S3Connection): URL {
  const address = new URL(url);
  const path = address.pathname.replace(/\/$/, '');
  address.pathname = address.hostname.startsWith(`${bucket.toLowerCase()}.`)
    ? `${path}/`
    : `${path}/${bucket}`;
  return address;
}

/** Returns the address of an object. The key is taken as it is: `%20` in it are three characters. */
export function objectUrl(connection: S3Connection, key: string): URL {
  const address = bucketUrl(connection);
  const path = key.replace(/^\//, '').split('/').map(encoded).join('/');
  address.pathname = `${address.pathname.replace(/\/$/, '')}/${path}`;
  return address;
}

/** As a signature wants it (RFC 3986): the server encodes the name again and compares. */
function encoded(part: string): string {
  return encodeURIComponent(part).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
