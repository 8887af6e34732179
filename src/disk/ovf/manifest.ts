import { createHash } from 'node:crypto';
import { Hyper2kvmError } from '../../errors/error.js';
import { printable } from '../../text/escape-terminal.js';
import { corrupt } from '../base/bytes.js';
import type { ByteSource } from '../base/format.js';
import { decodeText } from '../base/text.js';

/** A file and its digest. */
export interface ManifestLine {
  algorithm: 'sha1' | 'sha256' | 'sha512';
  name: string;
  digest: string;
}

export interface Manifest {
  lines: ManifestLine[];
  /** Lines that are neither a digest, nor empty, nor a comment: their files are not checked. */
  unknown: string[];
}

const MAX_LINES = 1000;
/** Number of hexadecimal digits. */
const LENGTHS = { sha1: 40, sha256: 64, sha512: 128 };

/**
 * Parses the `.mf` of an OVF (DSP0243, section 5.1): lines `SHA256(name)= hex`. Accepts what real ones have:
 * a byte order mark, UTF-16, comments, zero padding. Throws `fetch.corrupt` for more lines than any VM has
 * files.
 */
export function parseManifest(bytes: Buffer): Manifest {
  const manifest: Manifest = { lines: [], unknown: [] };
  for (const text of decodeText(bytes, null).split(/[\r\n\0]+/)) {
    const line = text.trim();
    if (line === '' || line.startsWith('#')) continue;
    const [, method, name, digest] = /^(SHA-?(?:1|256|512))\s*\((.+)\)\s*=\s*([0-9a-f]+)$/i.exec(line) ?? [];
    const algorithm = method?.toLowerCase().replace('-', '') as ManifestLine['algorithm'] | undefined;
    if (algorithm !== undefined && digest?.length === LENGTHS[algorithm])
      manifest.lines.push({ algorithm, name: name!, digest: digest.toLowerCase() });
    else manifest.unknown.push(line);
    if (manifest.lines.length + manifest.unknown.length > MAX_LINES)
      throw corrupt('the manifest (.mf) has more than 1,000 lines');
  }
  return manifest;
}

const CHUNK = 4 * 1024 * 1024;

/** Reads the whole file. Rejects with `fetch.digest-mismatch`. */
export async function verifyDigest(
  source: ByteSource,
  line: ManifestLine,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const hash = createHash(line.algorithm);
  for (let at = 0; at < source.size; at += CHUNK) {
    signal.throwIfAborted();
    const chunk = await source.read(at, CHUNK);
    hash.update(chunk);
    onBytes(chunk.length);
  }
  if (hash.digest('hex') === line.digest) return;
  throw new Hyper2kvmError(
    'fetch.digest-mismatch',
    `${printable(line.name)} is not the file that the manifest describes`,
  );
}
