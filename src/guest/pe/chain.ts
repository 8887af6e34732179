import type { KeyObject } from 'node:crypto';
import type { Root, RootKind } from './microsoft-roots.js';
import type { Certificate, SignedData } from './signed-data.js';

/** Who signed, and whom that leads to. */
export interface Signer {
  /** Common name, for people. */
  name: string;
  /** All parts, as `O=…, CN=…`. */
  subject: string;
  issuer: string;
  /** Issued by itself: a certificate that only its maker vouches for. Windows loads no such boot driver. */
  isSelfIssued: boolean;
  /** SHA-1 of the certificate, in lower case: how Windows names it. */
  thumbprint: string;
  /** The certificate, DER: for TrustedPublisher. */
  certificate: Buffer;
  /**
   * The root of Microsoft that its chain leads to: `product` signs what Microsoft tested or made;
   * `cross-signed` is somebody's own certificate under Microsoft's Code Verification Root (loaded up to
   * Windows 8.1, and by later ones where Secure Boot is off or the system was upgraded); `standard` signs
   * programs, not drivers. Null: none. Names do not count, only keys and their signatures; nor do
   * dates: a driver with a timestamp stays valid.
   */
  root: RootKind | null;
}

/** Null where the signer's certificate is missing. */
export function signerOf({ signer, certificates }: SignedData, roots: readonly Root[]): Signer | null {
  if (signer === null) return null;
  const { x509 } = signer;
  return {
    name: /^CN=(.*)$/m.exec(x509.subject)?.[1] ?? oneLine(x509.subject),
    subject: oneLine(x509.subject),
    issuer: oneLine(x509.issuer),
    isSelfIssued: signer.subject.equals(signer.issuer),
    thumbprint: x509.fingerprint.replaceAll(':', '').toLowerCase(),
    certificate: x509.raw,
    root: rootOf(signer, certificates, roots),
  };
}

/** Node puts each part on a line. */
const oneLine = (name: string): string => name.split('\n').join(', ');

/** Of the roots that are found, the one that more is loaded for. */
const PREFERENCE: readonly RootKind[] = ['product', 'cross-signed', 'standard'];

/** Several ways may lead up from a certificate: to a CA's own root, and over a cross-certificate. */
function rootOf(
  signer: Certificate,
  certificates: readonly Certificate[],
  roots: readonly Root[],
): RootKind | null {
  const found = new Set<RootKind>();
  const reached = new Set([signer]);
  for (const current of reached) {
    for (const { kind, key } of roots) if (isSignedBy(current, key())) found.add(kind);
    for (const candidate of certificates)
      if (candidate.subject.equals(current.issuer) && !reached.has(candidate) && isIssuer(candidate, current))
        reached.add(candidate);
  }
  return PREFERENCE.find((kind) => found.has(kind)) ?? null;
}

function isIssuer(candidate: Certificate, certificate: Certificate): boolean {
  return candidate.x509.ca && isSignedBy(certificate, candidate.x509.publicKey);
}

function isSignedBy({ x509 }: Certificate, key: KeyObject): boolean {
  try {
    return x509.verify(key);
  } catch {
    // Another kind of key, or an algorithm that OpenSSL refuses.
    return false;
  }
}
