import { execFileSync } from 'node:child_process';
import {
  createHash,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { authenticodeDigest } from '../../../../src/guest/pe/file-digest.js';
import { readPe } from '../../../../src/guest/pe/image.js';

/** A certificate and its key. */
export interface Identity {
  certificate: X509Certificate;
  key: KeyObject;
  pem: { certificate: string; key: string };
}

/**
 * A new certificate for `name`, of an issuer or of itself. Authorities have small keys, and so have others where
 * a test needs many: a key of RSA takes a tenth of a second.
 */
export function makeIdentity(
  name: string,
  { issuer, isCa = false, isSmall = isCa }: { issuer?: Identity; isCa?: boolean; isSmall?: boolean } = {},
): Identity {
  const { publicKey, privateKey } = isSmall
    ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
    : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const attribute = (type: string, value: string) => set(sequence(oid(type), der(0x0c, Buffer.from(value))));
  const subject = sequence(attribute('55040a', 'Lab'), attribute('550403', name));
  const signingKey = issuer?.key ?? privateKey;
  const algorithm = signatureAlgorithm(signingKey);
  const constraints = sequence(oid('551d13'), TRUE, octets(isCa ? sequence(TRUE) : sequence()));
  const body = sequence(
    der(0xa0, der(2, Buffer.from([2]))),
    der(2, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    algorithm,
    issuer === undefined ? subject : childrenOf(childrenOf(issuer.certificate.raw)[0]!)[5]!,
    sequence(der(0x17, Buffer.from('200101000000Z')), der(0x17, Buffer.from('491231235959Z'))),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(constraints)),
  );
  const signature = der(3, Buffer.concat([Buffer.from([0]), sign('sha256', body, signingKey)]));
  const certificate = new X509Certificate(sequence(body, algorithm, signature));
  return {
    certificate,
    key: privateKey,
    pem: {
      certificate: certificate.toString(),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    },
  };
}

/** The program with a signature embedded, without any process: a tenth of the time of `signProgram`. */
export function embedSignature(
  program: Buffer,
  signer: Identity,
  algorithm: 'sha1' | 'sha256' = 'sha256',
): Buffer {
  const content = sequence(
    sequence(oid('2b06010401823702010f'), sequence()),
    sequence(sequence(oid(DIGESTS[algorithm]), NULL), octets(authenticodeDigest(program, algorithm))),
  );
  const blob = signedData('2b060104018237020104', content, signer, []);
  const entry = Buffer.alloc(roundUp(8 + blob.length));
  entry.writeUInt32LE(8 + blob.length, 0);
  entry.writeUInt16LE(0x200, 4);
  entry.writeUInt16LE(2, 6);
  blob.copy(entry, 8);
  const signed = Buffer.concat([program, Buffer.alloc(roundUp(program.length) - program.length), entry]);
  const { certificatesAt } = readPe(program);
  signed.writeUInt32LE(signed.length - entry.length, certificatesAt);
  signed.writeUInt32LE(entry.length, certificatesAt + 4);
  return signed;
}

const roundUp = (value: number) => Math.ceil(value / 8) * 8;

/** The program, signed by osslsigncode; `chain` are certificates beside the signer's. */
export function signProgram(
  program: Buffer,
  signer: Identity,
  {
    chain = [],
    digest = 'sha256',
    nest = false,
  }: { chain?: Identity[]; digest?: string; nest?: boolean } = {},
): Buffer {
  return inScratch((file) => {
    writeFileSync(file('in'), program);
    writeFileSync(file('certs'), [signer, ...chain].map(({ pem }) => pem.certificate).join(''));
    writeFileSync(file('key'), signer.pem.key);
    const options = ['-certs', file('certs'), '-key', file('key'), '-h', digest, ...(nest ? ['-nest'] : [])];
    execFileSync('osslsigncode', ['sign', ...options, '-in', file('in'), '-out', file('out')], {
      stdio: 'pipe',
    });
    return readFileSync(file('out'));
  });
}

function inScratch<T>(run: (file: (name: string) => string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'h2k-sign-'));
  try {
    return run((name) => join(directory, name));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** A catalogue of `members`, digest by digest; signed as Windows' own tools sign it. */
export function makeCatalog(
  members: readonly { algorithm: 'sha1' | 'sha256'; digest: Buffer }[],
  signer: Identity,
  chain: readonly Identity[] = [],
): Buffer {
  const subjects = members.map(({ algorithm, digest }) =>
    sequence(
      octets(Buffer.from(`${digest.toString('hex').toUpperCase()}\0`, 'utf16le')),
      set(
        sequence(
          oid('2b06010401823702 0104'),
          set(
            sequence(
              sequence(oid('2b06010401823702010f'), sequence()),
              sequence(sequence(oid(DIGESTS[algorithm]), NULL), octets(digest)),
            ),
          ),
        ),
      ),
    ),
  );
  const list = sequence(
    sequence(oid('2b0601040182370c0101')),
    octets(Buffer.alloc(16, 1)),
    der(0x17, Buffer.from('261127000000Z')),
    sequence(oid('2b0601040182370c0102'), NULL),
    sequence(...subjects),
  );
  return signedData('2b0601040182370a01', list, signer, chain);
}

const DIGESTS = { sha1: '2b0e03021a', sha256: '608648016503040201' };
const NULL = Buffer.from([5, 0]);
const TRUE = Buffer.from([1, 1, 0xff]);

/** With SHA-256. */
const signatureAlgorithm = (key: KeyObject) =>
  key.asymmetricKeyType === 'ec'
    ? sequence(oid('2a8648ce3d040302'))
    : sequence(oid('2a864886f70d01010b'), NULL);

function signedData(type: string, content: Buffer, signer: Identity, chain: readonly Identity[]): Buffer {
  const value = content.subarray(headerLength(content));
  const attributes = Buffer.concat([
    sequence(oid('2a864886f70d010903'), set(oid(type))),
    sequence(oid('2a864886f70d010904'), set(octets(createHash('sha256').update(value).digest()))),
  ]);
  const body = childrenOf(childrenOf(signer.certificate.raw)[0]!);
  const digest = sequence(oid(DIGESTS.sha256), NULL);
  const signerInfo = sequence(
    der(2, Buffer.from([1])),
    sequence(body[3]!, body[1]!),
    digest,
    der(0xa0, attributes),
    signatureAlgorithm(signer.key),
    octets(sign('sha256', der(0x31, attributes), signer.key)),
  );
  return sequence(
    oid('2a864886f70d010702'),
    der(
      0xa0,
      sequence(
        der(2, Buffer.from([1])),
        set(digest),
        sequence(oid(type), der(0xa0, content)),
        der(0xa0, Buffer.concat([signer, ...chain].map(({ certificate }) => certificate.raw))),
        set(signerInfo),
      ),
    ),
  );
}

function der(tag: number, value: Buffer): Buffer {
  const { length } = value;
  const digits = length.toString(16);
  const size = Buffer.from(digits.padStart(Math.ceil(digits.length / 2) * 2, '0'), 'hex');
  const prefix = length < 128 ? [] : [0x80 + size.length];
  return Buffer.concat([Buffer.from([tag, ...prefix]), size, value]);
}

const sequence = (...parts: Buffer[]) => der(0x30, Buffer.concat(parts));
const set = (...parts: Buffer[]) => der(0x31, Buffer.concat(parts));
const octets = (value: Buffer) => der(4, value);
const oid = (hex: string) => der(6, Buffer.from(hex.replaceAll(' ', ''), 'hex'));
const headerLength = (bytes: Buffer) => (bytes[1]! < 128 ? 2 : 2 + (bytes[1]! & 0x7f));

function childrenOf(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  let at = headerLength(bytes);
  while (at < bytes.length) {
    const header = headerLength(bytes.subarray(at));
    const size = header === 2 ? bytes[at + 1]! : bytes.readUIntBE(at + 2, header - 2);
    parts.push(bytes.subarray(at, at + header + size));
    at += header + size;
  }
  return parts;
}
