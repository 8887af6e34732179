import { type Signer, signerOf } from './chain.js';
import { child, TAG } from './der.js';
import { badSignature } from './errors.js';
import { authenticodeDigest, type DigestAlgorithm } from './file-digest.js';
import { readPe } from './image.js';
import { MICROSOFT_ROOTS, type Root } from './microsoft-roots.js';
import { digestOf, readSignedData, type SignedData } from './signed-data.js';

/**
 * Embedded signatures of a program or driver (Authenticode). Use:
 *
 *     const [signature] = fileSignatures(bytes);           // none: an empty list
 *     signature?.isValid && signature.signer?.root === 'product'
 *
 * Whether Windows loads a driver depends on its release; see `Signer` for what is told of the signer, and
 * catalog.ts for signatures in a file beside it.
 */
export interface FileSignature {
  /** Of the file's digest: Windows 7 knows `sha256` since KB3033929. */
  digestAlgorithm: DigestAlgorithm;
  /** Whether the file is what was signed, and the signature is the signer's. Dates do not count. */
  isValid: boolean;
  /** Null where the signer's certificate is missing. */
  signer: Signer | null;
}

const INDIRECT_DATA = '2b060104018237020104';
const PKCS_SIGNED_DATA = 2;
/** Real ones have 20 KiB. */
const MAX_BYTES = 1024 ** 2;
const MAX_SIGNATURES = 16;

/**
 * All signatures, the first one first. Throws `guest.pe-invalid` for what is no program, and
 * `guest.signature-invalid` for a signature that cannot be read.
 */
export function fileSignatures(bytes: Buffer, roots: readonly Root[] = MICROSOFT_ROOTS): FileSignature[] {
  const { certificates } = readPe(bytes);
  if (certificates === null) return [];
  if (certificates.size > MAX_BYTES) throw badSignature('it is larger than any');
  const table = bytes.subarray(certificates.start, certificates.start + certificates.size);
  if (table.length !== certificates.size) throw badSignature('it lies outside of the file');
  return blobs(table).map((blob) => readFileSignature(bytes, blob, roots));
}

/** Entries of the table, and the signatures nested in them. */
function blobs(table: Buffer): SignedData[] {
  const pending: Buffer[] = [];
  let offset = 0;
  while (offset + 8 <= table.length) {
    const length = table.readUInt32LE(offset);
    if (length < 8 || offset + length > table.length) throw badSignature('its length leads out of the file');
    if (table.readUInt16LE(offset + 6) === PKCS_SIGNED_DATA)
      pending.push(table.subarray(offset + 8, offset + length));
    offset += Math.ceil(length / 8) * 8;
  }
  const found: SignedData[] = [];
  for (const blob of pending) {
    if (found.length >= MAX_SIGNATURES) throw badSignature('there are too many');
    const signed = readSignedData(blob);
    found.push(signed);
    pending.push(...signed.nested);
  }
  return found;
}

function readFileSignature(bytes: Buffer, signed: SignedData, roots: readonly Root[]): FileSignature {
  if (signed.contentType !== INDIRECT_DATA) throw badSignature('it is not that of a program');
  const digestInfo = child(signed.content, 1, TAG.sequence);
  const digestAlgorithm = digestOf(child(digestInfo, 0, TAG.sequence));
  const digest = child(digestInfo, 1, TAG.octetString).content;
  return {
    digestAlgorithm,
    isValid: signed.isIntact && authenticodeDigest(bytes, digestAlgorithm).equals(digest),
    signer: signerOf(signed, roots),
  };
}
