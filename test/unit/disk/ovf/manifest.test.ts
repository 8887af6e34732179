import { describe, expect, test } from 'vitest';
import { parseManifest } from '../../../../src/disk/ovf/manifest.js';

describe('manifests', () => {
  const digest = 'a'.repeat(64);
  const good = `SHA256(a b.vmdk)= ${digest}\nSHA1(x.ovf)= ${'b'.repeat(40)}\n`;
  const lines = [
    { algorithm: 'sha256', name: 'a b.vmdk', digest },
    { algorithm: 'sha1', name: 'x.ovf', digest: 'b'.repeat(40) },
  ];

  test.each([
    ['as they should be', Buffer.from(good)],
    ['with CRLF', Buffer.from(good.replaceAll('\n', '\r\n'))],
    ['in upper case', Buffer.from(good.replaceAll(/a{64}|b{40}|SHA/g, (text) => text.toUpperCase()))],
    ['with a byte order mark', Buffer.from(`\ufeff${good}`)],
    ['in UTF-16', Buffer.from(`\ufeff${good}`, 'utf16le')],
    ['in UTF-16 without a mark', Buffer.from(good, 'utf16le')],
    ['with comments', Buffer.from(`# made by backup.sh\n\n${good}`)],
    ['padded with zeros', Buffer.concat([Buffer.from(good), Buffer.alloc(100)])],
    [
      'with spaces and dashes',
      Buffer.from(good.replaceAll('SHA', 'SHA-').replaceAll('(', ' (').replaceAll(')=', ') =')),
    ],
  ])('%s', (_what, bytes) => {
    expect(parseManifest(bytes)).toEqual({ lines, unknown: [] });
  });

  test('what is no digest is given back, not passed over', () => {
    const others = ['garbage', 'MD5(x)= 00', 'SHA256(x)= 00', `SHA1(x)= ${digest}`];
    expect(parseManifest(Buffer.from(`${good}${others.join('\n')}`))).toEqual({ lines, unknown: others });
    expect(() => parseManifest(Buffer.from('x\n'.repeat(2000)))).toThrow(
      expect.objectContaining({ code: 'fetch.corrupt' }),
    );
  });
});
