import { Hyper2kvmError } from '../../../../errors/error.js';
import type { TransportContext } from '../base/transport.js';
import type { Exchange } from '../http/exchange.js';
import { type HttpFile, openHttpFile } from '../http/http-file.js';
import { type DatastorePath, folderUrl } from './datastore-path.js';

/** Returns what opens files, and remembers which form of their addresses the server understands. */
export function folderOpener(
  base: URL,
  datacenter: string,
  { isVcenter, exchange, context }: { isVcenter: boolean; exchange: Exchange; context: TransportContext },
): (path: DatastorePath) => Promise<HttpFile> {
  let encodings: 1 | 2 | null = isVcenter ? null : 1;
  const open = (path: DatastorePath, times: 1 | 2) =>
    openHttpFile(path.file, folderUrl(base, path, datacenter, times), exchange, context);
  return async (path) => {
    if (encodings !== null) return open(path, encodings);
    try {
      const file = await open(path, 1);
      encodings = 1;
      return file;
    } catch (error) {
      if (!isFinal(error) || error.code !== 'remote.not-found') throw error;
      const file = await open(path, 2).catch((second: unknown) => {
        // The first answer counts, unless the second question was not answered at all.
        throw isFinal(second) ? error : second;
      });
      encodings = 2;
      return file;
    }
  };
}

function isFinal(error: unknown): error is Hyper2kvmError {
  return error instanceof Hyper2kvmError && !error.retryable;
}

/** What statuses of `/folder` mean beside those of every web server. */
export function folderRefusal(status: number, origin: string): Hyper2kvmError | null {
  if (status === 500)
    return new Hyper2kvmError(
      'remote.locked',
      `${origin}: the server answered 500, as it does for a file that a running VM or a task holds`,
      { retryable: true },
    );
  if (status === 403)
    return new Hyper2kvmError(
      'remote.permission',
      `${origin}: the server answered 403 (it asks for the privileges Datastore.Browse and Datastore.FileManagement)`,
    );
  return null;
}
