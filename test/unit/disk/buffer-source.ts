import type { ByteSource } from '../../../src/disk/base/format.js';

/** A ByteSource over memory. */
export function bufferSource(bytes: Buffer): ByteSource {
  return {
    size: bytes.length,
    read: async (offset, length) => bytes.subarray(Math.min(offset, bytes.length), offset + length),
  };
}
