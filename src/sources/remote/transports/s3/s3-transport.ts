import type { S3Connection } from '../../../../config/connections.js';
import { reachHost } from '../base/reach.js';
import type { Reach, RemoteVm, Transport, TransportContext } from '../base/transport.js';
import { Exchange } from '../http/exchange.js';
import { openHttpFiles } from '../http/open-files.js';
import { trustOf } from '../http/trust.js';
import { bucketUrl, objectUrl } from './address.js';
import { S3Error, s3Refusal } from './errors.js';
import { signer } from './sign.js';

/** Objects of a bucket: of AWS, or of a store that has its interface (MinIO, Ceph, R2, Wasabi). */
export const s3Transport: Transport<S3Connection> = {
  async open({ vm }, connection, context): Promise<RemoteVm> {
    const exchange = await exchangeOf(connection, context);
    try {
      const urls = vm.map((key) => objectUrl(connection, key));
      const files = await openHttpFiles(urls, exchange, context);
      const { host } = new URL(connection.url);
      return { transport: 's3', host, files, close: async () => exchange.close() };
    } catch (error) {
      exchange.close();
      throw error;
    }
  },
  async reach(connection, context): Promise<Reach[]> {
    const exchange = await exchangeOf(connection, context);
    try {
      return [
        await reachHost(new URL(connection.url), () => askForBucket(exchange, connection, context.signal)),
      ];
    } finally {
      exchange.close();
    }
  },
};

async function exchangeOf(connection: S3Connection, { parallel }: TransportContext): Promise<Exchange> {
  return new Exchange(new URL(connection.url), {
    trust: await trustOf(connection),
    redirectHosts: [],
    secret: async () => ({ headers: {}, query: '' }),
    sign: signer(connection),
    refusal: s3Refusal,
    parallel,
  });
}

/** The server looks at the signature before it looks at what the key may do. */
async function askForBucket(
  exchange: Exchange,
  connection: S3Connection,
  signal: AbortSignal,
): Promise<string> {
  const query = 'list-type=2&max-keys=1';
  try {
    const answer = await exchange.get(bucketUrl(connection), {}, [200], { query, signal });
    answer.body.destroy();
    return `the key is accepted and may list ${connection.bucket}`;
  } catch (error) {
    if (!(error instanceof S3Error) || error.s3Code !== 'AccessDenied') throw error;
    return `the key is accepted, and may not list ${connection.bucket}, which fetching does not need`;
  }
}
