import type { HttpConnection } from '../../../../config/connections.js';
import { readCredential } from '../base/credential.js';
import { reachHost } from '../base/reach.js';
import type { Reach, RemoteVm, Transport, TransportContext } from '../base/transport.js';
import { Exchange } from './exchange.js';
import { namedHost } from './named-hosts.js';
import { openHttpFiles } from './open-files.js';
import { parseSecret } from './secret.js';
import { trustOf } from './trust.js';

/** Files of a web server, an artifact store, or a container of Azure or S3 with a signed URL. */
export const httpTransport: Transport<HttpConnection> = {
  async open({ vm }, connection, context): Promise<RemoteVm> {
    const base = new URL(connection.url);
    const exchange = await exchangeOf(base, connection, context);
    try {
      const urls = vm.map((path) => urlOf(base, path));
      const files = await openHttpFiles(urls, exchange, context);
      return { transport: 'http', host: base.host, files, close: async () => exchange.close() };
    } catch (error) {
      exchange.close();
      throw error;
    }
  },
  async reach(connection, context): Promise<Reach[]> {
    const base = new URL(connection.url);
    const exchange = await exchangeOf(base, connection, context);
    try {
      const { signal } = context;
      const own = await reachHost(base, async () => {
        if (connection.secret !== '') parseSecret(await readCredential(connection.secret), connection.secret);
        return `answers ${await exchange.status(base, signal)} to a request without the credential`;
      });
      const others = connection.redirect_hosts.map((host) => new URL(`${base.protocol}//${host}/`));
      return [
        own,
        ...(await Promise.all(
          others.map((url) => reachHost(url, async () => `answers ${await exchange.status(url, signal)}`)),
        )),
      ];
    } finally {
      exchange.close();
    }
  },
};

async function exchangeOf(
  base: URL,
  connection: HttpConnection,
  { parallel }: TransportContext,
): Promise<Exchange> {
  return new Exchange(base, {
    trust: await trustOf(connection),
    redirectHosts: connection.redirect_hosts.map(namedHost),
    secret: async () =>
      connection.secret === ''
        ? { headers: {}, query: '' }
        : parseSecret(await readCredential(connection.secret), connection.secret),
    parallel,
  });
}

/** Paths are below the connection's URL. */
function urlOf(base: URL, path: string): URL {
  const url = new URL(base);
  url.pathname = `${base.pathname.replace(/\/$/, '')}/${path.replace(/^\//, '')}`;
  return url;
}
