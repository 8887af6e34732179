import { AwsV4Signer } from 'aws4fetch';
import type { S3Connection } from '../../../../config/connections.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { readCredential } from '../base/credential.js';

/** SHA-256 of nothing: a GET has no body. (`UNSIGNED-PAYLOAD` is not accepted everywhere without TLS.) */
const NO_BODY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** Returns what signs GETs of a connection (AWS Signature Version 4). The credential is read for each. */
export function signer(connection: S3Connection): (url: URL) => Promise<Record<string, string>> {
  return async (url) => {
    const { secretKey, sessionToken } = parseSecretKey(
      await readCredential(connection.secret),
      connection.secret,
    );
    const signed = await new AwsV4Signer({
      url: url.href,
      headers: { 'x-amz-content-sha256': NO_BODY },
      accessKeyId: connection.access_key,
      secretAccessKey: secretKey,
      ...(sessionToken === null ? {} : { sessionToken }),
      service: 's3',
      region: connection.region,
    }).sign();
    return Object.fromEntries(signed.headers);
  };
}

/** The secret key; on a second line the session token, which temporary keys have. */
function parseSecretKey(text: string, name: string): { secretKey: string; sessionToken: string | null } {
  const [secretKey = '', sessionToken = null, ...others] = text.split(/\r?\n/);
  const isUsable = [secretKey, sessionToken ?? 'none'].every((line) => /^[\x21-\x7e]+$/.test(line));
  if (isUsable && others.length === 0) return { secretKey, sessionToken };
  throw new Hyper2kvmError(
    'remote.secret-unreadable',
    `the credential ${name} is not a secret key alone on its line (a second line may be the session token)`,
  );
}
