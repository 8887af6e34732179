import { readFile } from 'node:fs/promises';
import type { HttpConnection } from '../../../../config/remote-table.js';
import { percentDecoded } from '../../../../disk/base/names.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';
import { readCredential } from '../base/credential.js';
import type { RemoteFile, RemoteVm, Transport, TransportContext } from '../base/transport.js';
import type { Trust } from './connect.js';
import { Exchange } from './exchange.js';
import { openHttpFile } from './http-file.js';
import { parseSecret } from './secret.js';

/** Files of a web server, an artifact store, or a container of Azure or S3 with a signed URL. */
export const httpTransport: Transport<HttpConnection> = {
  async open({ vm }, connection, context): Promise<RemoteVm> {
    const base = new URL(connection.url);
    const exchange = new Exchange(base, {
      trust: await trustOf(connection),
      redirectHosts: connection.redirect_hosts.map((host) => host.toLowerCase()),
      secret: async () =>
        connection.secret === ''
          ? { headers: {}, query: '' }
          : parseSecret(await readCredential(connection.secret), connection.secret),
      parallel: context.parallel,
    });
    try {
      const files = await openAll(vm, base, exchange, context);
      return { transport: 'http', host: base.host, files, close: async () => exchange.close() };
    } catch (error) {
      exchange.close();
      throw error;
    }
  },
};

async function openAll(
  paths: readonly string[],
  base: URL,
  exchange: Exchange,
  context: TransportContext,
): Promise<RemoteFile[]> {
  const files: RemoteFile[] = [];
  for (const path of paths) {
    const url = urlOf(base, path);
    const name = fileNameOf(url);
    if (files.some((other) => other.name === name))
      throw new Hyper2kvmError('remote.not-allowed', `two paths of the VM end in ${printable(name)}`);
    files.push(await openHttpFile(name, url, exchange, context));
  }
  return files;
}

/** Paths are below the connection's URL. */
function urlOf(base: URL, path: string): URL {
  const url = new URL(base);
  url.pathname = `${base.pathname.replace(/\/$/, '')}/${path.replace(/^\//, '')}`;
  return url;
}

function fileNameOf(url: URL): string {
  const name = percentDecoded(url.pathname.slice(url.pathname.lastIndexOf('/') + 1));
  const isPlain =
    name !== '' && Buffer.byteLength(name) <= 240 && !/[/\\\0-\x1f\x7f\ufffd]|^\.{1,2}$/.test(name);
  if (isPlain) return name;
  throw new Hyper2kvmError('remote.not-allowed', `${printable(url.pathname)} does not end in a file’s name`);
}

async function trustOf({ ca_file, fingerprint }: HttpConnection): Promise<Trust> {
  const sha256 = fingerprint?.slice('SHA256:'.length).replaceAll(':', '').toLowerCase() ?? null;
  if (ca_file === undefined) return { ca: null, sha256 };
  try {
    return { ca: await readFile(ca_file, 'utf8'), sha256 };
  } catch (cause) {
    throw new Hyper2kvmError('remote.tls', `ca_file ${ca_file} cannot be read`, { cause });
  }
}
