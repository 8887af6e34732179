import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';

/** `[datastore1] web01/web01.vmdk` */
export interface DatastorePath {
  datastore: string;
  /** Without a slash at the end; empty for the datastore's top. */
  folder: string;
  file: string;
}

const FORM = /^\[([^\]]{1,255})\] ?(.{1,4096})$/s;

/** Parses a path. Throws `remote.unsupported-disk` for one that does not lead to a file of a datastore. */
export function parseDatastorePath(text: string): DatastorePath {
  const [, datastore, path] = FORM.exec(text) ?? [];
  const parts = path?.split('/') ?? [];
  const isPlain = (part: string) =>
    part.trim() !== '' &&
    part !== '.' &&
    part !== '..' &&
    Buffer.byteLength(part) <= 240 &&
    !/[\\\0-\x1f\x7f]/.test(part);
  if (datastore === undefined || !parts.every(isPlain))
    throw new Hyper2kvmError(
      'remote.unsupported-disk',
      `“${printable(text)}” is not the path of a file in a datastore`,
    );
  return { datastore, folder: parts.slice(0, -1).join('/'), file: parts.at(-1)! };
}

export function datastorePathText({ datastore, folder, file }: DatastorePath): string {
  return `[${datastore}] ${folder === '' ? '' : `${folder}/`}${file}`;
}

/**
 * Returns the address of a file. `encodings`: how often the names of the query are encoded. Some vCenter decode them
 * twice.
 */
export function folderUrl(
  base: URL,
  { datastore, folder, file }: DatastorePath,
  datacenter: string,
  encodings: 1 | 2,
): URL {
  const url = new URL(base);
  url.pathname = ['folder', ...folder.split('/').filter((part) => part !== ''), file]
    .map(encodeURIComponent)
    .join('/');
  const encode = (text: string) =>
    encodings === 1 ? encodeURIComponent(text) : encodeURIComponent(encodeURIComponent(text));
  url.search = `dcPath=${encode(datacenter)}&dsName=${encode(datastore)}`;
  return url;
}
