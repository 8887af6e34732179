import { percentDecoded } from '../../../../disk/base/names.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { printable } from '../../../../text/escape-terminal.js';
import type { RemoteFile, TransportContext } from '../base/transport.js';
import type { Exchange } from './exchange.js';
import { openHttpFile } from './http-file.js';

/** Opens the files of a VM, each under the last part of its address. */
export async function openHttpFiles(
  urls: readonly URL[],
  exchange: Exchange,
  context: TransportContext,
): Promise<RemoteFile[]> {
  const files: RemoteFile[] = [];
  for (const url of urls) {
    const name = fileNameOf(url);
    if (files.some((other) => other.name === name))
      throw new Hyper2kvmError('remote.not-allowed', `two paths of the VM end in ${printable(name)}`);
    files.push(await openHttpFile(name, url, exchange, context));
  }
  return files;
}

function fileNameOf(url: URL): string {
  const name = percentDecoded(url.pathname.slice(url.pathname.lastIndexOf('/') + 1));
  const isPlain =
    name !== '' && Buffer.byteLength(name) <= 240 && !/[/\\\0-\x1f\x7f\ufffd]|^\.{1,2}$/.test(name);
  if (isPlain) return name;
  throw new Hyper2kvmError('remote.not-allowed', `${printable(url.pathname)} does not end in a file’s name`);
}
