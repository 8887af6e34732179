import { beforeAll, describe, expect, test } from 'vitest';
import { parseDescriptor } from '../../../src/disk/vmdk/descriptor.js';
import { vmdk } from '../../../src/disk/vmdk/index.js';
import { renderDescriptor } from '../../../src/disk/vmdk/render.js';
import { bufferSource } from './buffer-source.js';
import { descriptor, MIB, realImages, withFooter } from './images.js';
import { seSparse } from './sesparse-image.js';

let images: Record<string, Buffer>;
beforeAll(async () => {
  images = await realImages({
    'sparse.vmdk': ['-O', 'vmdk'],
    'stream.vmdk': ['-O', 'vmdk', '-o', 'subformat=streamOptimized'],
  });
  images['footer.vmdk'] = withFooter(images['stream.vmdk']!);
});

const parse = async (bytes: Buffer) => (await vmdk.parse(bufferSource(bytes))).image;
const whole = async (bytes: Buffer) => (await vmdk.parse(bufferSource(bytes))).check(bufferSource(bytes));

describe('sparse images', () => {
  test.each(['sparse.vmdk', 'stream.vmdk', 'footer.vmdk'])('%s: size, ids, completeness', async (name) => {
    const bytes = images[name]!;
    const image = await parse(bytes);
    expect(image).toMatchObject({ role: 'disk', virtualSize: 3 * MIB, parent: null, extents: [] });
    expect(image.variant).toBe(name === 'sparse.vmdk' ? 'monolithicSparse' : 'streamOptimized');
    expect(await whole(bytes)).toMatchObject({ complete: true });
    expect(image.footer === true).toBe(name === 'footer.vmdk');
  });

  test('allocated counts the grains that hold data', async () => {
    const result = await whole(images['sparse.vmdk']!);
    // MBR, five patterns of 12 KiB (each within one or two grains of 64 KiB), the last sector.
    expect(result).toMatchObject({ complete: true });
    const allocated = result.complete ? result.allocated! : 0;
    expect(allocated).toBeGreaterThanOrEqual(5 * 65_536);
    expect(allocated).toBeLessThanOrEqual(12 * 65_536);
  });

  test.each(['sparse.vmdk', 'stream.vmdk', 'footer.vmdk'])('%s cut anywhere is not whole', async (name) => {
    const bytes = images[name]!;
    // QEMU pads a stream-optimized file with zeros: what is cut from them is not missed.
    const end = name === 'stream.vmdk' ? bytes.findLastIndex((byte) => byte !== 0) : bytes.length - 511;
    for (let length = 600; length < end; length += Math.ceil(bytes.length / 97)) {
      const cut = bytes.subarray(0, length);
      const complete = await whole(cut).then(
        (result) => result.complete,
        (error: { code: string }) => {
          expect(error.code).toBe('fetch.truncated');
          return false;
        },
      );
      expect(complete, `${name} cut to ${length} of ${bytes.length}`).toBe(false);
    }
  });

  test('a capacity of zero is refused: QEMU would follow the embedded text', async () => {
    const bytes = Buffer.from(images['sparse.vmdk']!);
    bytes.writeBigUInt64LE(0n, 12);
    await expect(parse(bytes)).rejects.toMatchObject({ code: 'fetch.corrupt' });
  });

  test.each([
    ['the grain size', 20, 3n],
    ['the capacity', 12, 2n ** 60n],
    ['the descriptor’s offset', 28, 5n],
    ['the descriptor’s size', 36, 2n ** 40n],
  ])('%s out of range is refused', async (_what, offset, value) => {
    const bytes = Buffer.from(images['sparse.vmdk']!);
    bytes.writeBigUInt64LE(value, offset);
    await expect(parse(bytes)).rejects.toMatchObject({
      code: expect.stringMatching(/^fetch\.(corrupt|truncated)$/),
    });
  });

  test('an embedded descriptor that lists another file is refused', async () => {
    const bytes = Buffer.from(images['sparse.vmdk']!);
    const text = descriptor(['RW 6144 FLAT "/etc/passwd" 0']);
    bytes.fill(0, 512, 512 * 21);
    text.copy(bytes, 512);
    await expect(parse(bytes)).rejects.toMatchObject({ code: 'fetch.corrupt' });
  });

  test('two directory entries that share a table are refused, so a small file cannot cost a long scan', async () => {
    const bytes = Buffer.from(images['sparse.vmdk']!);
    // 2 TiB: 65,536 directory entries over the one real table.
    bytes.writeBigUInt64LE(2n ** 32n, 12);
    const directory = Number(bytes.readBigUInt64LE(56)) * 512;
    const table = bytes.readUInt32LE(directory);
    const large = Buffer.concat([bytes, Buffer.alloc(65_536 * 4)]);
    large.writeBigUInt64LE(BigInt(bytes.length / 512), 56);
    for (let i = 0; i < 65_536; i += 1) large.writeUInt32LE(table, bytes.length + i * 4);
    const text = Buffer.from(
      large
        .subarray(512, 512 * 21)
        .toString('latin1')
        .replace('RW 6144', `RW ${2n ** 32n}`),
      'latin1',
    );
    text.copy(large, 512, 0, 512 * 20);
    await expect(whole(large)).rejects.toMatchObject({
      code: 'fetch.corrupt',
      message: expect.stringContaining('share a grain table'),
    });
  });

  test('a transfer in text mode is recognised', async () => {
    const bytes = Buffer.from(images['sparse.vmdk']!);
    bytes.writeUInt32BE(0x0a0a0d0a, 73);
    await expect(parse(bytes)).rejects.toThrow('text mode');
  });
});

describe('seSparse extents', () => {
  const size = 20 * MIB;
  const content = Buffer.alloc(8192, 7);
  const image = () =>
    seSparse(size, [
      { offset: 18 * MIB, content },
      { offset: 0, content: 'zero' },
    ]);
  const DIRECTORY = 16 * 512;
  const TABLES = 24 * 512;
  const changed = (at: number, value: bigint) => {
    const bytes = image();
    bytes.writeBigUInt64LE(value, at);
    return bytes;
  };

  test('are a piece of a disk, and hold the grains with data', async () => {
    expect(await parse(image())).toMatchObject({ role: 'extent', virtualSize: size, seSparse: true });
    expect(await whole(image())).toEqual({ complete: true, allocated: 8192 });
  });

  test('that are cut off are incomplete, wherever the cut is', async () => {
    const bytes = image();
    for (const end of [600, DIRECTORY, TABLES + 512, bytes.length - 1])
      expect(await whole(bytes.subarray(0, end))).toMatchObject({ complete: false });
  });

  test.each<[what: string, bytes: () => Buffer, code: string]>([
    ['a journal to be replayed', () => seSparse(size, [], { journal: 1n }), 'fetch.unsupported'],
    ['another size of grains', () => changed(24, 16n), 'fetch.unsupported'],
    ['an unknown field', () => changed(256, 1n), 'fetch.unsupported'],
    ['no volatile header', () => changed(512, 1n), 'fetch.corrupt'],
    ['an impossible size', () => changed(16, 2n ** 50n), 'fetch.corrupt'],
    ['a directory that is too short', () => changed(136, 0n), 'fetch.corrupt'],
    ['an entry of the directory of an unknown kind', () => changed(DIRECTORY, 2n << 60n), 'fetch.corrupt'],
    ['two entries with one table', () => changed(DIRECTORY, 1n << 60n), 'fetch.corrupt'],
    ['a grain of an unknown kind', () => changed(TABLES, 5n << 60n), 'fetch.corrupt'],
    ['an unallocated grain with a number', () => changed(TABLES, 1n), 'fetch.corrupt'],
    ['a grain far behind any disk', () => changed(TABLES, (3n << 60n) | (2n ** 40n)), 'fetch.corrupt'],
  ])('%s: refused', async (_what, bytes, code) => {
    await expect(whole(bytes())).rejects.toMatchObject({ code, advice: expect.stringMatching(/./) });
  });
});

describe('text descriptors', () => {
  test.each([
    [{ 'ddb.uuid': '"60 00 C2 9a 11 11 22 22-33 33 44 44 55 55 aa aa"' }, '6000c29a11112222333344445555aaaa'],
    [{ 'ddb.uuid.image': '"2AD76C0E-0000-1111-2222-00ff11223344"' }, '2ad76c0e00001111222200ff11223344'],
    [{ 'ddb.uuid': '"60 00"' }, null],
    [{}, null],
  ])('the disk’s UUID: %j', (settings, uuid) => {
    expect(parseDescriptor(descriptor(['RW 10 FLAT "a" 0'], { CID: '1', ...settings })).uuid).toBe(uuid);
  });

  test('the disk’s UUID behind the padding of the text', () => {
    const text = descriptor(['RW 10 FLAT "a" 0'], { CID: '1' });
    const behind = Buffer.from('ddb.uuid = "60 00 C2 9a 11 11 22 22-33 33 44 44 55 55 aa aa"\n');
    const padded = Buffer.concat([text, Buffer.alloc(500), behind]);
    expect(parseDescriptor(padded).uuid).toBe('6000c29a11112222333344445555aaaa');
    expect(parseDescriptor(Buffer.concat([text, Buffer.alloc(1 << 19, '\0\n')])).uuid).toBeNull();
  });

  test('extents in their order, ids, parent', () => {
    const text = descriptor(
      ['RW 4192256 SPARSE "a b-s001.vmdk"', 'RW 2048 FLAT "c-f002.vmdk" 128', 'RDONLY 10 VMFS "d-flat.vmdk"'],
      {
        CID: '0000ABCD',
        parentCID: '00000001',
        parentFileNameHint: '"[ds1] web01/web01.vmdk"',
      },
    );
    expect(parseDescriptor(text)).toEqual({
      createType: 'monolithicFlat',
      contentId: 'abcd',
      parentId: '1',
      parentHint: '[ds1] web01/web01.vmdk',
      uuid: null,
      extents: [
        { access: 'RW', sectors: 4_192_256, kind: 'SPARSE', name: 'a b-s001.vmdk', offset: 0 },
        { access: 'RW', sectors: 2048, kind: 'FLAT', name: 'c-f002.vmdk', offset: 128 },
        { access: 'RDONLY', sectors: 10, kind: 'VMFS', name: 'd-flat.vmdk', offset: 0 },
      ],
    });
  });

  test('Windows line ends, and what lies behind a NUL does not count', () => {
    const text = descriptor(['RW 1 FLAT "a-flat.vmdk" 0']).toString().replaceAll('\n', '\r\n');
    expect(parseDescriptor(Buffer.from(`${text}\0RW 1 FLAT "b" 0\n`)).extents).toHaveLength(1);
  });

  test.each([
    ['no extents', descriptor([])],
    ['a setting twice', descriptor(['RW 1 FLAT "a" 0', 'CID=1'])],
    ['a line that is neither', descriptor(['RW 1 FLAT "a" 0', 'RW garbage'])],
    ['no name', descriptor(['RW 1 FLAT'])],
    ['an out-of-range number of sectors', descriptor(['RW 9999999999999999 FLAT "a" 0'])],
    ['zero sectors', descriptor(['RW 0 FLAT "a" 0'])],
    ['a parent without an id', descriptor(['RW 1 FLAT "a" 0'], { parentFileNameHint: '"b.vmdk"' })],
    [
      'no CID',
      Buffer.from(
        descriptor(['RW 1 FLAT "a" 0'])
          .toString()
          .replace(/^CID.*$/m, ''),
      ),
    ],
    ['5,000 extents', descriptor(Array.from({ length: 5000 }, (_, i) => `RW 1 FLAT "a${i}" 0`))],
    ['2 MiB', Buffer.concat([descriptor(['RW 1 FLAT "a" 0']), Buffer.alloc(2 * MIB, '#')])],
  ])('%s: fetch.corrupt', (_what, bytes) => {
    expect(() => parseDescriptor(bytes)).toThrow(expect.objectContaining({ code: 'fetch.corrupt' }));
  });

  test.each(['RW 1 ZERO', 'RW 1 VMFSRDM "a"', 'NOACCESS 1 FLAT "a" 0'])(
    '%s: refused, because QEMU would skip it',
    (line) => {
      expect(() => parseDescriptor(descriptor([line]))).toThrow(
        expect.objectContaining({ code: 'fetch.unsupported', advice: expect.stringMatching(/./) }),
      );
    },
  );

  test('what we write for QEMU reads back as the same extents', () => {
    const extents = [
      { kind: 'SPARSE', size: 512 * 10, offset: 0, path: './source/a.vmdk' },
      { kind: 'SESPARSE', size: 512 * 30, offset: 0, path: './source/c.vmdk' },
      { kind: 'FLAT', size: 512 * 20, offset: 1024, path: '/x y/b.vmdk' },
    ] as const;
    const text = renderDescriptor({ contentId: 'abc', parentId: 'def', parentPath: './p.vmdk', extents })!;
    expect(text).not.toContain('\n\n');
    const parsed = parseDescriptor(Buffer.from(text));
    expect(parsed).toMatchObject({ contentId: 'abc', parentId: 'def', parentHint: './p.vmdk' });
    expect(
      parsed.extents.map(({ kind, sectors, offset, name }) => ({
        kind,
        size: sectors * 512,
        offset: offset * 512,
        path: name,
      })),
    ).toEqual(extents);
  });

  test.each(['a"b', 'a\nb', 'x'.repeat(512)])('a path that cannot be written is not written', (path) => {
    expect(
      renderDescriptor({
        contentId: '1',
        parentId: null,
        parentPath: null,
        extents: [{ kind: 'FLAT', size: 512, offset: 0, path }],
      }),
    ).toBeNull();
  });
});
