import { createHash, type KeyObject, X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { catalogHas, readCatalog } from '../../../../src/guest/pe/catalog.js';
import { authenticodeDigest } from '../../../../src/guest/pe/file-digest.js';
import { readPe } from '../../../../src/guest/pe/image.js';
import { MICROSOFT_ROOTS, type Root, type RootKind } from '../../../../src/guest/pe/microsoft-roots.js';
import { fileSignatures } from '../../../../src/guest/pe/signature.js';
import { fileVersion } from '../../../../src/guest/pe/version.js';
import { makePe } from '../pe.js';
import { type Identity, makeCatalog, makeIdentity, signProgram } from './sign.ts';

/** The cross-certificate that Microsoft published for DigiCert's root, signed by its Code Verification Root. */
const CROSS_CERTIFICATE =
  'MIIFOzCCAyOgAwIBAgIKYSBNtAAAAAAAJzANBgkqhkiG9w0BAQUFADB/MQswCQYDVQQGEwJVUzETMBEGA1UECBMKV2FzaGlu' +
  'Z3RvbjEQMA4GA1UEBxMHUmVkbW9uZDEeMBwGA1UEChMVTWljcm9zb2Z0IENvcnBvcmF0aW9uMSkwJwYDVQQDEyBNaWNyb3Nv' +
  'ZnQgQ29kZSBWZXJpZmljYXRpb24gUm9vdDAeFw0xMTA0MTUxOTQ1MzNaFw0yMTA0MTUxOTU1MzNaMGwxCzAJBgNVBAYTAlVT' +
  'MRUwEwYDVQQKEwxEaWdpQ2VydCBJbmMxGTAXBgNVBAsTEHd3dy5kaWdpY2VydC5jb20xKzApBgNVBAMTIkRpZ2lDZXJ0IEhp' +
  'Z2ggQXNzdXJhbmNlIEVWIFJvb3QgQ0EwggEiMA0GCSqGSIb3DQEBAQUAA4IBDwAwggEKAoIBAQDGzOVz5vvUu+UtLTKm3+WB' +
  'P8nNJUm2cSrD1ZQ0Z6IKHLBfaaZAscS3so/QmKSpQVk609yU1jzbdDikSsxNJYL3SqVTEjju80ltcZF+Y7arpl/DpIT4T2JR' +
  'vvjF7Ns4kuMG5QiRDMQoQVX7y1qJFX5x6DW/TXIJPb46OFBbdzEbjbPHJEWap6xtABRaBLe6E+tRCphBQSJOZWGHgUFQpnlc' +
  'id4ZSlfVLuZdHFMsfpjNGgYWpGhz0DQEE1yhcdNafFXbXmThN4cwVgTlEbQpgBLxeTmIogIRfCdmt4i3ePLKCqg4qwpkwr9m' +
  'XZWEwaElHoddGlALIBLMQbtuC1E4uEvLAgMBAAGjgcswgcgwEQYDVR0gBAowCDAGBgRVHSAAMAsGA1UdDwQEAwIBhjAPBgNV' +
  'HRMBAf8EBTADAQH/MB0GA1UdDgQWBBSxPsNpA/i/RwHUmCYaCALvY2QrwzAfBgNVHSMEGDAWgBRi+wohW39DbhHaCVRQa/XS' +
  'lnHxnjBVBgNVHR8ETjBMMEqgSKBGhkRodHRwOi8vY3JsLm1pY3Jvc29mdC5jb20vcGtpL2NybC9wcm9kdWN0cy9NaWNyb3Nv' +
  'ZnRDb2RlVmVyaWZSb290LmNybDANBgkqhkiG9w0BAQUFAAOCAgEAIIzBWe1vnGstwUo+dR1FTEFQHL2A6tmwkosGKhM/Uxae' +
  'VjlqimO2eCR59X24uUehCpbC9su9omafBuGs0nkJDv083KwCDHCvPxvseH7U60sFYCbZc2GRIe2waGPglxKrb6AS7dmf0ton' +
  'PLPkVvnR1IEPcb1CfKaJ3M3VvZWiq/GTEX3orDEpqF1mcEGd/HXJ1bMaOSrQhQVQi6yRysSTy3GlnaSUb1gM+m4gxAgxtYWd' +
  'foH50j3KWxiFbAqG7CIJG6V0NE9/KLyVSqsdtpiwXQmkd3Z+76eOXYT2GCTL0W2mw6GcwhB1gP+dMv3mz0M6gvfOj+FyKpti' +
  't1/tlRo5XC+UbUi3AV8zL7vcLXM0iQRCChyLefmj+hfv+qEaEN/gssGV61wMBZc7NT4YiE3bbL8kiY3Ivdifezk6JKDV39Hz' +
  'ShqX9qZveh+wkKmzrAE5kdNht2TxPlc4A6/OetK1kPWu3DmZ1bY8l+2myxbHfWsqTJCU5kxU/R7NIOzOaJyHWOlhYL7rDsnV' +
  'GX2f6Xi9DqwhdQePqW7gjGoqa5zj52W8vC08bdwE3GdFNjKvBIG8qABuYUyVxVzUjo6fL8EydL29EWUDB83vt14CV9qG1Boo' +
  'NK+ISbLPpd2CVm9oqhTiWVT+/+ru7+qScCJggeMlI8CfzA9JsjWqWMM6w9kWlBA=';

const root = (kind: RootKind, { certificate }: Identity): Root => ({
  kind,
  key: () => certificate.publicKey,
});
/** Key identifiers are SHA-1 of the key's bits, in older certificates of the key with its algorithm. */
const identifiers = (key: KeyObject) =>
  [key.export({ type: 'pkcs1', format: 'der' }), key.export({ type: 'spki', format: 'der' })].map((bytes) =>
    createHash('sha1').update(bytes).digest('hex'),
  );

const driver = (text = 'driver') => makePe([{ name: '.text', address: 0x1000, content: Buffer.from(text) }]);
let ca: Identity;
let middle: Identity;
let signer: Identity;
let other: Identity;
let selfSigned: Identity;
beforeAll(() => {
  ca = makeIdentity('Lab Root', { isCa: true });
  middle = makeIdentity('Lab CA', { issuer: ca, isCa: true });
  signer = makeIdentity('Lab Driver', { issuer: middle });
  other = makeIdentity('Other Root', { isCa: true });
  selfSigned = makeIdentity('Red Hat, Inc.');
}, 60_000);

describe('the roots', () => {
  it.each<[string, RootKind, string]>([
    ['Microsoft Root Authority', 'product', '4a5c7522aa46bfa4089d39974ebdb4a360f7a01d'],
    ['Microsoft Root Certificate Authority', 'product', '0eac826040562797e52513fc2ae10a539559e4a4'],
    ['Microsoft Root Certificate Authority 2010', 'product', 'd5f656cb8fe8a25c6268d13d94905bd7ce9a18c4'],
    ['Microsoft Root Certificate Authority 2011', 'standard', '722d3a02319043b914054ee1eaa7c731d1238934'],
    ['Microsoft Code Verification Root', 'cross-signed', '62fb0a215b7f436e11da0954506bf5d29671f19e'],
  ])('%s (%s) has the key whose identifier certificates name', (_, kind, identifier) => {
    const found = MICROSOFT_ROOTS.filter(({ key }) => identifiers(key()).includes(identifier));
    expect(found.map((root) => root.kind)).toEqual([kind]);
  });

  it('verify a cross-certificate that Microsoft published, and only one of them does', () => {
    const cross = new X509Certificate(Buffer.from(CROSS_CERTIFICATE, 'base64'));
    expect(cross.issuer).toContain('CN=Microsoft Code Verification Root');
    const kinds = MICROSOFT_ROOTS.filter(({ key }) => cross.verify(key())).map(({ kind }) => kind);
    expect(kinds).toEqual(['cross-signed']);
  });
});

describe('a program', () => {
  it('says for which machine it is', () => {
    for (const [machine, name] of [
      [0x14c, 'x86'],
      [0x8664, 'amd64'],
      [0xaa64, 'arm64'],
      [0x1c0, 'other'],
    ] as const) {
      const bytes = driver();
      bytes.writeUInt16LE(machine, 0x44);
      expect(readPe(bytes.subarray(0, 4096)).machine).toBe(name);
    }
  });

  it('is none in another form, or cut off', () => {
    const invalid = expect.objectContaining({ code: 'guest.pe-invalid' });
    for (const bytes of [Buffer.alloc(0), Buffer.from('MZ'), Buffer.alloc(4096), driver().subarray(0, 200)])
      expect(() => readPe(bytes)).toThrow(invalid);
  });

  it('without a signature has none', () => {
    expect(fileSignatures(driver())).toEqual([]);
  });

  it.each(['sha1', 'sha256'])('signed with %s is what was signed, and says by whom', (digest) => {
    const signed = signProgram(driver(), signer, { chain: [middle], digest });
    const [signature, ...more] = fileSignatures(signed, [root('product', ca)]);
    expect(more).toEqual([]);
    expect(signature).toMatchObject({
      digestAlgorithm: digest,
      isValid: true,
      signer: {
        name: 'Lab Driver',
        subject: 'O=Lab, CN=Lab Driver',
        issuer: 'O=Lab, CN=Lab CA',
        isSelfIssued: false,
        thumbprint: signer.certificate.fingerprint.replaceAll(':', '').toLowerCase(),
        root: 'product',
      },
    });
    expect(signature?.signer?.certificate.equals(signer.certificate.raw)).toBe(true);
  });

  it('with two signatures has both, the first one first', () => {
    const once = signProgram(driver(), signer, { chain: [middle], digest: 'sha1' });
    const twice = signProgram(once, selfSigned, { nest: true });
    expect(
      fileSignatures(twice, [root('product', ca)]).map(({ digestAlgorithm, isValid, signer }) => [
        digestAlgorithm,
        isValid,
        signer?.isSelfIssued,
        signer?.root,
      ]),
    ).toEqual([
      ['sha1', true, false, 'product'],
      ['sha256', true, true, null],
    ]);
  });

  it('that was changed behind its signature is not valid: anywhere but the checksum', () => {
    const signed = signProgram(driver(), signer, { chain: [middle] });
    const changed = (at: number) => {
      const bytes = Buffer.from(signed);
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      return fileSignatures(bytes)[0]?.isValid;
    };
    const { checksumAt } = readPe(signed);
    expect(changed(2)).toBe(false);
    expect(changed(signed.indexOf('driver'))).toBe(false);
    expect(changed(checksumAt)).toBe(true);
    const longer = Buffer.concat([signed, Buffer.from('more')]);
    expect(fileSignatures(longer)[0]?.isValid).toBe(false);
  });

  it('with another program’s signature is not valid', () => {
    const signed = signProgram(driver('driver'), signer);
    const evil = signProgram(driver('rootki'), signer);
    const { start } = readPe(signed).certificates!;
    const mixed = Buffer.concat([evil.subarray(0, start), signed.subarray(start)]);
    expect(fileSignatures(mixed)[0]?.isValid).toBe(false);
  });

  it('whose signature was made with another key is not valid', () => {
    const signed = signProgram(driver(), signer);
    const at = readPe(signed).certificates!;
    // The last 256 bytes of the one signer are the RSA signature, then padding.
    const bytes = Buffer.from(signed);
    bytes.writeUInt8(bytes.readUInt8(at.start + at.size - 40) ^ 1, at.start + at.size - 40);
    expect(fileSignatures(bytes)[0]).toMatchObject({ isValid: false });
  });
});

describe('a signer', () => {
  const rootOf = (chain: Identity[], roots: Root[], by = signer) =>
    fileSignatures(signProgram(driver(), by, { chain }), roots)[0]?.signer?.root;

  it('leads to a root by keys: not without what is between, not by a name', () => {
    expect(rootOf([middle], [root('product', ca)])).toBe('product');
    expect(rootOf([], [root('product', ca)])).toBeNull();
    expect(rootOf([middle, ca], [root('product', other)])).toBeNull();
    const namesake = makeIdentity('Lab CA', { issuer: other, isCa: true });
    expect(rootOf([namesake], [root('product', other)])).toBeNull();
  });

  it('does not lead over a certificate that is nobody’s authority', () => {
    const leaf = makeIdentity('Leaf', { issuer: ca });
    const below = makeIdentity('Below', { issuer: leaf });
    expect(rootOf([leaf], [root('product', ca)], below)).toBeNull();
  });

  it('with two ways up has the better root', () => {
    const roots = [root('cross-signed', ca), root('product', middle)];
    expect(rootOf([middle], roots)).toBe('product');
    expect(rootOf([middle], [...roots].reverse())).toBe('product');
    expect(rootOf([middle], roots.slice(0, 1))).toBe('cross-signed');
  });

  it('that issued itself is one, whatever it calls itself', () => {
    const [signature] = fileSignatures(signProgram(driver(), selfSigned));
    expect(signature).toMatchObject({ isValid: true, signer: { isSelfIssued: true, root: null } });
  });
});

describe('a catalogue', () => {
  const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest();
  const inf = Buffer.from('[Version]\n');
  const members = () => [
    { algorithm: 'sha256' as const, digest: authenticodeDigest(driver(), 'sha256') },
    { algorithm: 'sha1' as const, digest: createHash('sha1').update(inf).digest() },
  ];

  it('has programs by their Authenticode digest, and other files by that of their bytes', () => {
    const catalog = readCatalog(makeCatalog(members(), signer, [middle]), [root('product', ca)]);
    expect(catalog).toMatchObject({ isIntact: true, signer: { root: 'product' } });
    expect(catalogHas(catalog, driver())).toBe(true);
    expect(catalogHas(catalog, inf)).toBe(true);
    expect(catalogHas(catalog, driver('other!'))).toBe(false);
    // A file that only looks like a program is any other file.
    expect(catalogHas(catalog, Buffer.from('MZ, and then text'))).toBe(false);
    // A signature in the file itself, and the checksum, are no part of its digest.
    const signed = signProgram(driver(), selfSigned);
    expect(catalogHas(catalog, signed)).toBe(true);
  });

  it('with thousands of members is read in no time', () => {
    const digest = (index: number) => sha256(Buffer.from(`${index}`));
    const many = Array.from({ length: 2000 }, (_, index) => ({
      algorithm: 'sha256' as const,
      digest: digest(index),
    }));
    const bytes = makeCatalog(many, signer);
    const before = process.cpuUsage();
    expect(readCatalog(bytes).members.size).toBe(2000);
    expect(process.cpuUsage(before).user).toBeLessThan(2e6);
  });

  it('that was changed is not intact', () => {
    const bytes = makeCatalog(members(), signer);
    const at = bytes.indexOf(members()[0]!.digest);
    sha256(driver('evil')).copy(bytes, at);
    expect(readCatalog(bytes)).toMatchObject({ isIntact: false, signer: { isSelfIssued: false } });
  });

  /** A time without digits. */
  const NO_TIME = Buffer.from('3004180278ff', 'hex');

  it('is not another signed thing, nor anything else', () => {
    const invalid = expect.objectContaining({ code: 'guest.signature-invalid' });
    const signed = signProgram(driver(), signer);
    const { start, size } = readPe(signed).certificates!;
    for (const bytes of [
      signed.subarray(start + 8, start + size),
      Buffer.alloc(0),
      Buffer.from('text'),
      NO_TIME,
    ])
      expect(() => readCatalog(bytes)).toThrow(invalid);
    expect(() => readCatalog(Buffer.alloc(2 ** 20, Buffer.from([0x30, 0x80])))).toThrow(invalid);
  });
});

describe('a version', () => {
  it('is that of the resources; without them there is none', () => {
    const resources = Buffer.alloc(0x200);
    const entry = (at: number, id: number, value: number) => {
      resources.writeUInt16LE(1, at + 14);
      resources.writeUInt32LE(id, at + 16);
      resources.writeUInt32LE(value, at + 20);
    };
    entry(0, 16, 0x8000_0020);
    entry(0x20, 1, 0x8000_0040);
    entry(0x40, 1033, 0x60);
    resources.writeUInt32LE(0x2080, 0x60);
    resources.writeUInt32LE(0xfeef_04bd, 0x80 + 40);
    resources.writeUInt32LE((100 << 16) | 95, 0x80 + 48);
    resources.writeUInt32LE((104 << 16) | 26100, 0x80 + 52);
    const bytes = makePe([
      { name: '.text', address: 0x1000, content: Buffer.from('x') },
      { name: '.rsrc', address: 0x2000, content: resources },
    ]);
    bytes.writeUInt32LE(0x2000, 0x58 + 112 + 16);
    bytes.writeUInt32LE(0x200, 0x58 + 112 + 20);
    expect(fileVersion(bytes)).toBe('100.95.104.26100');
    expect(fileVersion(driver())).toBeNull();
    for (const at of [0x60, 0x14]) {
      const broken = Buffer.from(bytes);
      broken.writeUInt32LE(0xffff_fff0, bytes.indexOf(resources.subarray(0, 0x100)) + at);
      expect(fileVersion(broken)).toBeNull();
    }
  });
});
