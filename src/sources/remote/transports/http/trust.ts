import { readFile } from 'node:fs/promises';
import type { HttpConnection } from '../../../../config/connections.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import type { Trust } from './connect.js';

/** Returns how a connection's certificate is checked. Errors: `remote.tls`. */
export async function trustOf({
  ca_file,
  fingerprint,
}: Pick<HttpConnection, 'ca_file' | 'fingerprint'>): Promise<Trust> {
  const sha256 = fingerprint?.slice('SHA256:'.length).replaceAll(':', '').toLowerCase() ?? null;
  if (ca_file === undefined) return { ca: null, sha256 };
  try {
    return { ca: await readFile(ca_file, 'utf8'), sha256 };
  } catch (cause) {
    throw new Hyper2kvmError('remote.tls', `ca_file ${ca_file} cannot be read`, { cause });
  }
}
