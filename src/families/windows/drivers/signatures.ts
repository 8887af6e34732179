import type { RefusalCode } from '../../../model/driver-set.js';
import type { PackageFile, SignatureFacts, SignerFacts } from './catalogue.js';
import type { DriverTarget } from './releases.js';

/** Why something is not good enough, without what it belongs to. */
export interface Objection {
  code: RefusalCode;
  message: string;
}

const VISTA = 6000;
const WINDOWS_7 = 7600;
const WINDOWS_8 = 9200;
const WINDOWS_10 = 10_240;

/** x64 loads no unsigned driver since Vista; x86 does to this day. */
export const needsEmbeddedSignature = ({ architecture, build }: DriverTarget): boolean =>
  architecture === 'amd64' && build >= VISTA;

/** The device manager of Vista and later installs silently only what a catalogue vouches for. */
export const needsCatalogue = ({ build }: DriverTarget): boolean => build >= VISTA;

/** Returns why Windows would not start with this driver, by the signatures in its file; null if it would. */
export function objectionToDriver(file: PackageFile, target: DriverTarget): Objection | null {
  const signatures = file.program?.signatures ?? [];
  if (signatures.length === 0)
    return { code: 'drivers.unsigned', message: `${file.path} has no embedded signature` };
  const valid = signatures.filter(({ isValid }) => isValid);
  if (valid.length === 0)
    return { code: 'drivers.unsigned', message: `the signature of ${file.path} is not that of the file` };
  const objections = valid.map(({ signer }) => objectionToSigner(file.path, signer, target));
  return objections.includes(null) ? null : (objections[0] ?? null);
}

/** Returns why this Windows does not trust what was signed so; null if it does. */
export function objectionToSigner(
  path: string,
  signer: SignerFacts | null,
  { build, testSigning, secureBoot }: DriverTarget,
): Objection | null {
  if (signer === null)
    return {
      code: 'drivers.unsigned',
      message: `${path} is signed, but its signer's certificate is missing`,
    };
  // Secure Boot switches test signing off.
  if (testSigning && !secureBoot) return null;
  const by = `${path} is signed by ${signer.name}`;
  if (signer.isSelfIssued)
    return { code: 'drivers.self-signed', message: `${by}, a certificate that only itself vouches for` };
  if (signer.root === 'product' || build < VISTA) return null;
  if (signer.root === 'cross-signed' && !(build >= WINDOWS_10 && secureBoot)) return null;
  const why = signer.root === 'cross-signed' ? ', which Secure Boot does not accept' : '';
  return {
    code: 'drivers.not-microsoft',
    message: `${by}, whose certificates do not lead to Microsoft${why}`,
  };
}

/** True if Windows 10 and later load the driver only where Secure Boot is off. */
export function isOnlyCrossSigned(file: PackageFile, { build }: DriverTarget): boolean {
  const signatures = validSignatures(file);
  return (
    build >= WINDOWS_10 &&
    signatures.length > 0 &&
    signatures.every(({ signer }) => signer?.root !== 'product')
  );
}

/** True if the driver's signatures are all unknown to a Windows 7 without KB3033929. */
export function isUnknownDigest(file: PackageFile, { build, knowsSha256 }: DriverTarget): boolean {
  if (knowsSha256 || build < WINDOWS_7 || build >= WINDOWS_8) return false;
  return !validSignatures(file).some(({ digestAlgorithm }) => digestAlgorithm === 'sha1');
}

const validSignatures = (file: PackageFile): SignatureFacts[] =>
  (file.program?.signatures ?? []).filter(({ isValid }) => isValid);
