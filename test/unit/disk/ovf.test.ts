import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test } from 'vitest';
import { bufferSource } from '../../../src/disk/base/bytes.js';
import { indexTar } from '../../../src/disk/base/tar.js';
import { parseManifest } from '../../../src/disk/ovf/manifest.js';
import { parseOvf } from '../../../src/disk/ovf/ovf.js';
import { parseXml } from '../../../src/disk/ovf/xml.js';
import { Hyper2kvmError } from '../../../src/errors/error.js';
import { ovfText } from './ovf-text.js';

describe('OVF', () => {
  test('a VMware export: hardware, disks in controller order, networks', () => {
    expect(parseOvf(Buffer.from(ovfText(['web01-disk1.vmdk', 'web01-disk2.vmdk'])))).toEqual({
      hardware: {
        name: 'web & db',
        memory_mib: 2048,
        vcpus: 4,
        firmware: 'uefi',
        nics: [{ mac: '00:50:56:aa:bb:cc', network: 'VM Network', model: 'VmxNet3' }],
        os_hint: '96',
      },
      disks: [
        { controller: 'scsi0:0', file: 'web01-disk1.vmdk' },
        { controller: 'scsi0:1', file: 'web01-disk2.vmdk' },
      ],
      files: ['web01-disk1.vmdk', 'web01-disk2.vmdk'],
    });
  });

  test.each([
    ['../x.vmdk', 'fetch.refused-reference'],
    ['/etc/passwd', 'fetch.refused-reference'],
    ['http://127.0.0.1/x.vmdk', 'fetch.refused-reference'],
  ])('a reference to %s', (name, code) => {
    expect(() => parseOvf(Buffer.from(ovfText([name])))).toThrow(expect.objectContaining({ code }));
  });

  test('compressed disks and several VMs', () => {
    const text = ovfText(['a.vmdk']);
    expect(() => parseOvf(Buffer.from(text.replace('<File ', '<File ovf:compression="gzip" ')))).toThrow(
      expect.objectContaining({ code: 'fetch.unsupported' }),
    );
    expect(() => parseOvf(Buffer.from(text.replace('</Envelope>', '<VirtualSystem/></Envelope>')))).toThrow(
      expect.objectContaining({ code: 'fetch.several-vms' }),
    );
  });
});

describe('XML', () => {
  test.each([
    ['an external entity', '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'],
    ['an entity bomb', `<!DOCTYPE a [<!ENTITY x "${'y'.repeat(100)}">]><a>${'&x;'.repeat(10)}</a>`],
    ['an unknown entity', '<a>&x;</a>'],
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

describe('tar', () => {
  async function tarOf(files: Record<string, Buffer>, args: readonly string[]): Promise<Buffer> {
    const directory = await mkdtemp(join(tmpdir(), 'h2k-tar-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content);
    execFileSync('tar', [...args, '-cf', join(directory, 'x.ova'), ...Object.keys(files)], {
      cwd: directory,
    });
    return readFile(join(directory, 'x.ova'));
  }
  const long = `${'n'.repeat(150)}.vmdk`;

  test.each(['ustar', 'gnu', 'pax'])('%s: members where they really are', async (format) => {
    const files = {
      'a.ovf': Buffer.from('text'),
      [format === 'ustar' ? 'b.vmdk' : long]: Buffer.alloc(3000, 7),
    };
    const archive = await tarOf(files, [`--format=${format}`]);
    const members = await indexTar(bufferSource(archive));
    expect(members.map(({ name, offset, size }) => [name, archive.subarray(offset, offset + size)])).toEqual(
      Object.entries(files),
    );
    for (const length of [0, 100, 700, 1500, 2100, 4000]) {
      await expect(indexTar(bufferSource(archive.subarray(0, length)))).rejects.toMatchObject({
        code: 'fetch.truncated',
      });
    }
  });

  test.each([
    ['../x', 'fetch.refused-reference'],
    ['/etc/cron.d/x', 'fetch.refused-reference'],
    ['a/b', 'fetch.refused-reference'],
  ])('a member named %s', async (name, code) => {
    const archive = await tarOf({ x: Buffer.from('1') }, [
      '--format=ustar',
      '-P',
      `--transform=s,^x$,${name},`,
    ]);
    await expect(indexTar(bufferSource(archive))).rejects.toMatchObject({ code });
  });

  test('links and duplicates', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'h2k-tar-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    await symlink('/etc/passwd', join(directory, 'l.vmdk'));
    execFileSync('tar', ['-cf', 'x.ova', 'l.vmdk'], { cwd: directory });
    await expect(indexTar(bufferSource(await readFile(join(directory, 'x.ova'))))).rejects.toMatchObject({
      code: 'fetch.refused-special',
    });
    const twice = await tarOf({ 'a.vmdk': Buffer.from('1'), 'b.vmdk': Buffer.from('2') }, [
      '--transform=s,^b,a,',
    ]);
    await expect(indexTar(bufferSource(twice))).rejects.toMatchObject({ code: 'fetch.corrupt' });
  });

  test('random changes: members inside the archive, or a refusal', async () => {
    const archive = await tarOf({ 'a.ovf': Buffer.from('text'), [long]: Buffer.alloc(700) }, [
      '--format=pax',
    ]);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(archive.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        async (edits) => {
          const bytes = Buffer.from(archive);
          for (const [at, value] of edits) bytes[at] = value;
          const members = await indexTar(bufferSource(bytes)).catch((error: unknown) => {
            if (error instanceof Hyper2kvmError) return [];
            throw error;
          });
          for (const { offset, size } of members) expect(offset + size).toBeLessThanOrEqual(bytes.length);
        },
      ),
      { numRuns: 500 },
    );
  });
});

test('manifests', () => {
  const digest = 'a'.repeat(64);
  expect(parseManifest(`SHA256(a b.vmdk)= ${digest}\r\nSHA1(x.ovf)= ${'b'.repeat(40)}\n`)).toEqual([
    { algorithm: 'sha256', name: 'a b.vmdk', digest },
    { algorithm: 'sha1', name: 'x.ovf', digest: 'b'.repeat(40) },
  ]);
  expect(() => parseManifest('MD5(x)= 00')).toThrow(expect.objectContaining({ code: 'fetch.corrupt' }));
});
