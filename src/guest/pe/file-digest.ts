import { createHash } from 'node:crypto';
import { badPe } from './errors.js';
import { readPe } from './image.js';

/** Digests that signatures and catalogues use. */
export type DigestAlgorithm = 'sha1' | 'sha256' | 'sha384' | 'sha512';

/**
 * The digest of a program that a signature or a catalogue holds: of all bytes but the checksum, the entry of
 * the signatures and they themselves (Microsoft, "Windows Authenticode Portable Executable Signature
 * Format"). One that is not signed is padded to 8 bytes, as signing would pad it.
 */
export function authenticodeDigest(bytes: Buffer, algorithm: DigestAlgorithm): Buffer {
  const { checksumAt, certificatesAt, certificates } = readPe(bytes);
  const end = certificates?.start ?? bytes.length;
  const behindHeaders = certificatesAt === 0 ? checksumAt + 4 : certificatesAt + 8;
  if (behindHeaders > end || end > bytes.length) throw badPe('its signature lies outside of it');
  const hash = createHash(algorithm).update(bytes.subarray(0, checksumAt));
  if (certificatesAt === 0) hash.update(bytes.subarray(checksumAt + 4, end));
  else
    hash
      .update(bytes.subarray(checksumAt + 4, certificatesAt))
      .update(bytes.subarray(certificatesAt + 8, end));
  if (certificates === null) return hash.update(Buffer.alloc((8 - (end % 8)) % 8)).digest();
  return hash.update(bytes.subarray(end + certificates.size)).digest();
}
