import { createHash, verify, X509Certificate } from 'node:crypto';
import { child, contextTag, type DerNode, isOid, parseDer, TAG } from './der.js';
import { badSignature } from './errors.js';
import type { DigestAlgorithm } from './file-digest.js';

/** PKCS #7 signed data (RFC 2315), as Authenticode and catalogues use it: one signer. */
export interface SignedData {
  /** Type of the content, an object identifier in its encoded form. */
  contentType: string;
  content: DerNode;
  certificates: Certificate[];
  /** The signer's own; null where it is not among them. */
  signer: Certificate | null;
  digestAlgorithm: DigestAlgorithm;
  /** Whether the content is what was signed, with the signer's key. */
  isIntact: boolean;
  /** Further signatures of the same file, mostly with SHA-256, inside of this one. */
  nested: Buffer[];
}

export interface Certificate {
  x509: X509Certificate;
  /** Names and number as they are encoded. */
  subject: Buffer;
  issuer: Buffer;
  serial: Buffer;
}

const SIGNED_DATA = '2a864886f70d010702';
const MESSAGE_DIGEST = '2a864886f70d010904';
const NESTED_SIGNATURE = '2b060104018237020401';
const DIGESTS: Record<string, DigestAlgorithm> = {
  '2b0e03021a': 'sha1',
  '608648016503040201': 'sha256',
  '608648016503040202': 'sha384',
  '608648016503040203': 'sha512',
};
/** Real ones have six at most. */
const MAX_CERTIFICATES = 32;
const MAX_NESTED = 8;

/** Throws `guest.signature-invalid` for what is no signed data. */
export function readSignedData(bytes: Buffer): SignedData {
  const envelope = parseDer(bytes);
  if (!isOid(envelope.children[0], SIGNED_DATA)) throw badSignature('it is not signed data');
  const data = child(child(envelope, 1, contextTag(0)), 0, TAG.sequence);
  const encapsulated = child(data, 2, TAG.sequence);
  const content = child(child(encapsulated, 1, contextTag(0)), 0);
  const rest = data.children.slice(3);
  const certificates = readCertificates(rest.find(({ tag }) => tag === contextTag(0)));
  const signerInfo = child(rest.at(-1) ?? data, 0, TAG.sequence);
  const attributes = signerInfo.children.find(({ tag }) => tag === contextTag(0));
  const digestAlgorithm = digestOf(child(signerInfo, 2));
  const signer = signerOf(child(signerInfo, 1), certificates);
  return {
    contentType: child(encapsulated, 0, TAG.oid).content.toString('hex'),
    content,
    certificates,
    signer,
    digestAlgorithm,
    isIntact: signer !== null && isIntact(signerInfo, attributes, signer, content, digestAlgorithm),
    nested: nestedOf(signerInfo),
  };
}

/** Digest of an AlgorithmIdentifier. */
export function digestOf(algorithm: DerNode): DigestAlgorithm {
  const digest = DIGESTS[child(algorithm, 0, TAG.oid).content.toString('hex')];
  if (digest === undefined) throw badSignature('it has an unknown digest algorithm');
  return digest;
}

function readCertificates(set: DerNode | undefined): Certificate[] {
  const nodes = (set?.children ?? []).filter(({ tag }) => tag === TAG.sequence);
  if (nodes.length > MAX_CERTIFICATES) throw badSignature('it has too many certificates');
  return nodes.flatMap((node) => readCertificate(node) ?? []);
}

/** Null for one that OpenSSL does not read: it can be nobody's signer then. */
function readCertificate(node: DerNode): Certificate | null {
  const body = child(node, 0, TAG.sequence);
  // The version is left out of those of version 1.
  const first = body.children[0]?.tag === contextTag(0) ? 1 : 0;
  const [serial, issuer, subject] = [child(body, first), child(body, first + 2), child(body, first + 4)];
  try {
    const x509 = new X509Certificate(node.raw);
    return { x509, subject: subject.raw, issuer: issuer.raw, serial: serial.content };
  } catch {
    return null;
  }
}

/** By issuer and number, which together name one certificate. */
function signerOf(identifier: DerNode, certificates: readonly Certificate[]): Certificate | null {
  const [issuer, serial] = identifier.children;
  return (
    certificates.find(
      (certificate) => issuer?.raw.equals(certificate.issuer) && serial?.content.equals(certificate.serial),
    ) ?? null
  );
}

function isIntact(
  signerInfo: DerNode,
  attributes: DerNode | undefined,
  signer: Certificate,
  content: DerNode,
  digest: DigestAlgorithm,
): boolean {
  // PKCS #7 signs the content's value, without its tag and length.
  const messageDigest = attributes === undefined ? undefined : attribute(attributes, MESSAGE_DIGEST);
  if (attributes === undefined || messageDigest === undefined) return false;
  if (!createHash(digest).update(content.content).digest().equals(messageDigest.content)) return false;
  // What is signed is the attributes as a SET.
  const signed = Buffer.concat([Buffer.from([0x31]), attributes.raw.subarray(1)]);
  const signature = signerInfo.children.find(({ tag }) => tag === TAG.octetString);
  if (signature === undefined) return false;
  try {
    return verify(digest, signed, signer.x509.publicKey, signature.content);
  } catch {
    // A key that OpenSSL does not know or refuses.
    return false;
  }
}

/** The first value of the attribute. */
function attribute(attributes: DerNode, oid: string): DerNode | undefined {
  return attributes.children.find(({ children }) => isOid(children[0], oid))?.children[1]?.children[0];
}

function nestedOf(signerInfo: DerNode): Buffer[] {
  const unsigned = signerInfo.children.find(({ tag }) => tag === contextTag(1));
  const found = unsigned?.children.find(({ children }) => isOid(children[0], NESTED_SIGNATURE));
  return (found?.children[1]?.children ?? []).slice(0, MAX_NESTED).map(({ raw }) => raw);
}
