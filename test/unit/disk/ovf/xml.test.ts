import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseXml } from '../../../../src/disk/ovf/xml.js';
import { Hyper2kvmError } from '../../../../src/errors/error.js';

describe('XML', () => {
  test.each([
    ['an external entity', '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'],
    ['an entity bomb', `<!DOCTYPE a [<!ENTITY x "${'y'.repeat(100)}">]><a>${'&x;'.repeat(10)}</a>`],
    ['an unknown entity', '<a>&x;</a>'],
    ['half of a surrogate pair', '<a>&#xD800;</a>'],
    ['two documents', '<a/><b/>'],
    ['crossed elements', '<a><b></a></b>'],
    ['an open end', '<a><b>'],
    ['10,000 levels', '<a>'.repeat(10_000)],
    ['100,000 elements', `<a>${'<b/>'.repeat(100_000)}</a>`],
    ['5 MiB', `<a>${'x'.repeat(5 * 1024 * 1024)}</a>`],
    ['nothing', ''],
  ])('%s is refused', (_what, text) => {
    expect(() => parseXml(Buffer.from(text))).toThrow(expect.objectContaining({ code: 'fetch.corrupt' }));
  });

  test('text, CDATA, comments, entities of XML itself', () => {
    const root = parseXml(
      Buffer.from(
        '<?xml version="1.0"?><!-- a --><n:a b="1 &lt; 2" c=\'"\'>x<![CDATA[<&>]]>&#65;&amp;</n:a>',
      ),
    );
    expect(root.text).toBe('x<&>A&');
    expect([...root.attributes]).toEqual([
      ['b', '1 < 2'],
      ['c', '"'],
    ]);
  });

  test('any text is parsed or refused, quickly', () => {
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom('<a', '<a>', '</a>', ' x="', '"', '<!--', '-->', '&', ';', '<![CDATA[', ' '),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        try {
          parseXml(Buffer.from(pieces.join('')));
        } catch (error) {
          expect(error).toBeInstanceOf(Hyper2kvmError);
        }
      }),
      { numRuns: 2000 },
    );
    const started = performance.now();
    expect(() => parseXml(Buffer.from(`<a ${'x="1" '.repeat(100_000)}`))).toThrow();
    expect(() => parseXml(Buffer.from('<!--'.repeat(500_000)))).toThrow();
    expect(performance.now() - started).toBeLessThan(2000);
  });
});
