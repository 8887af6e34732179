import { createHash } from 'node:crypto';
import type { RemoteFile } from './transport.js';

/** A file whose content is known already. */
export function memoryFile(
  name: string,
  bytes: Buffer,
  origin: string,
  validator: string | null = null,
): RemoteFile {
  const digest = createHash('sha256').update(bytes).digest('hex');
  return {
    name,
    size: bytes.length,
    validator: [validator, digest].filter(Boolean).join(' '),
    hasRanges: true,
    data: null,
    origin,
    async *read(range) {
      yield range === null ? bytes : bytes.subarray(range.start, range.end);
    },
  };
}
