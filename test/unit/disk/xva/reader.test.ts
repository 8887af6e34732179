import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parseXva } from '../../../../src/disk/xva/description.js';
import { readXva, xvaCompleteness } from '../../../../src/disk/xva/reader.js';
import { xxh64 } from '../../../../src/disk/xva/xxhash.js';
import { bufferSource } from '../buffer-source.js';
import { ovaXml, type XvaOptions, xvaOf } from '../xva-archive.js';

const BLOCK = 65_536;
const XXHASH = { ending: '.xxhash', of: (bytes: Buffer) => xxh64(bytes).toUpperCase() };

function disk(size: number): Buffer {
  const bytes = randomBytes(size);
  bytes.fill(0, BLOCK, 3 * BLOCK);
  bytes.fill(0, 5 * BLOCK, 6 * BLOCK);
  return bytes;
}

async function read(bytes: Buffer): Promise<Record<string, Buffer>> {
  const disks: Record<string, Buffer> = {};
  await readXva(bufferSource(bytes), {
    async onDescription(_xml, found) {
      for (const { ref, size } of found) disks[ref] = Buffer.alloc(size);
    },
    onBlock: async ({ ref }, block, at) => void block.copy(disks[ref]!, at),
  });
  return disks;
}

const two = (): XvaOptions => ({
  disks: [
    { ref: 'Ref:12', content: disk(8 * BLOCK + 1024), device: '0' },
    { ref: 'Ref:4', content: disk(7 * BLOCK), device: '1' },
  ],
});

test.each<[string, Partial<XvaOptions>]>([
  ['with SHA-1', {}],
  ['with xxHash', { digest: XXHASH }],
  ['with blocks that only kept the connection open', { pauses: [2, 4] }],
])('disks %s', async (_what, more) => {
  const options = two();
  const bytes = xvaOf({ ...options, ...more });
  const found = await read(bytes);
  for (const { ref, content } of options.disks) expect(found[ref]!.equals(content)).toBe(true);
  expect(await xvaCompleteness(bufferSource(bytes))).toEqual({ complete: true, allocated: null });
});

test('one that is cut anywhere is not whole', async () => {
  const bytes = xvaOf(two());
  // tar fills its last record with zeros.
  const end = bytes.length - 10_240;
  for (let length = 0; length < end; length += Math.ceil(end / 31)) {
    const cut = bytes.subarray(0, length);
    await expect(read(cut)).rejects.toMatchObject({ code: 'fetch.truncated' });
    expect(await xvaCompleteness(bufferSource(cut))).toMatchObject({ complete: false });
  }
});

describe('refused', () => {
  const edited = (edit: NonNullable<XvaOptions['edit']>) => xvaOf({ ...two(), edit });
  test.each<[string, () => Buffer]>([
    ['a wrong SHA-1', () => edited((all) => all.set('Ref:12/00000000.checksum', Buffer.alloc(40, 'a')))],
    ['a wrong xxHash', () => xvaOf({ ...two(), digest: { ending: '.xxhash', of: () => '0'.repeat(16) } })],
    ['no first block', () => edited((all) => void all.delete('Ref:12/00000000'))],
    [
      'a block behind the end',
      () =>
        edited((all) => {
          all.delete('Ref:12/00000008');
          all.set('Ref:12/00009999', Buffer.alloc(512));
        }),
    ],
    [
      'blocks out of order',
      () =>
        edited((all) => {
          const last = all.get('Ref:12/00000000')!;
          all.delete('Ref:12/00000000');
          all.delete('Ref:12/00000000.checksum');
          all.set('Ref:12/00000000', last);
        }),
    ],
    [
      'no description in front',
      () =>
        edited((all) => {
          const xml = all.get('ova.xml')!;
          all.delete('ova.xml');
          all.set('ova.xml', xml);
        }),
    ],
    [
      'a disk without a size',
      () =>
        xvaOf({
          ...two(),
          xml: ovaXml([]).replace(
            '</data>',
            '<value><struct><member><name>class</name><value>VBD</value></member><member><name>id</name><value>Ref:5</value></member><member><name>snapshot</name><value><struct><member><name>VM</name><value>Ref:0</value></member><member><name>VDI</name><value>Ref:12</value></member><member><name>type</name><value>Disk</value></member></struct></value></member></struct></value></data>',
          ),
        }),
    ],
  ])('%s', async (_what, make) => {
    await expect(read(make()).then(Object.keys)).rejects.toMatchObject({ code: 'fetch.corrupt' });
  });

  test.each(['../../etc/passwd', '', 'OpaqueRef:1'])('a disk named “%s”', (ref) => {
    expect(() => parseXva(Buffer.from(ovaXml([{ ref, content: Buffer.alloc(512) }])))).toThrow(
      expect.objectContaining({ code: 'fetch.corrupt' }),
    );
  });
});

test('hardware, network cards and disks', () => {
  const disks = [
    { ref: 'Ref:12', content: Buffer.alloc(1024), device: '10' },
    { ref: 'Ref:4', content: Buffer.alloc(512), device: '2' },
  ];
  const { description } = parseXva(Buffer.from(ovaXml(disks, { firmware: 'uefi' })));
  expect(description.hardware).toEqual({
    name: 'web & db',
    memory_mib: 2048,
    vcpus: 2,
    firmware: 'uefi',
    nics: [
      { mac: 'ea:b5:1c:00:00:01', network: 'Pool-wide network', model: null },
      { mac: 'ea:b5:1c:00:00:02', network: 'Pool-wide network', model: null },
    ],
    os_hint: null,
  });
  expect(description.disks.map(({ file }) => file)).toEqual(['Ref-4.raw', 'Ref-12.raw']);
});

test.each([
  ['', 'ef46db3751d8e999'],
  ['abc', '44bc2cf5ad770999'],
  ['a'.repeat(100), '375041e8b1decfb3'],
])('XXH64 of “%s”', (text, digest) => {
  expect(xxh64(Buffer.from(text))).toBe(digest);
});
