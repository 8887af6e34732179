import { createHash } from 'node:crypto';
import { Hyper2kvmError } from '../../errors/error.js';
import { printable } from '../../text/escape-terminal.js';
import { corrupt } from '../base/bytes.js';
import type { ByteSource } from '../base/format.js';

export interface ManifestLine {
  algorithm: 'sha1' | 'sha256' | 'sha512';
  name: string;
  digest: string;
}

/** The `.mf` of an OVF (DSP0243, section 5.1): lines `SHA256(name)= hex`. Throws `fetch.corrupt`. */
export function parseManifest(text: string): ManifestLine[] {
  const lines: ManifestLine[] = [];
  for (const line of text.split(/\r?\n/)) {
    if (line.trim() === '') continue;
    const match = /^(SHA1|SHA256|SHA512)\s?\((.+)\)\s?=\s*([0-9a-f]{40,128})\s*$/i.exec(line);
    if (match === null || lines.length > 1000) throw corrupt('the manifest (.mf) cannot be read');
    lines.push({
      algorithm: match[1]!.toLowerCase() as ManifestLine['algorithm'],
      name: match[2]!,
      digest: match[3]!.toLowerCase(),
    });
  }
  return lines;
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
    {
      advice:
        'It was damaged or changed on the way: copy the export again. If it was changed on purpose, remove the .mf file (of an OVA: make it anew).',
    },
  );
}
