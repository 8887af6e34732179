import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { readStates } from '../../../src/disk/base/disk-map.js';
import { formatByName } from '../../../src/disk/formats.js';
import { bufferSource } from './buffer-source.js';
import { type Piece, vdiDelta, vhdDelta } from './delta-images.js';
import { MIB, realImages } from './images.js';
import { type VhdxPiece, vhdxImage } from './vhdx-image.js';

const SIZE = 9 * MIB;
const BASE = 'aaaaaaaa111122223333444444444444';
const FIRST = 'bbbbbbbb111122223333444444444444';
const SECOND = 'cccccccc111122223333444444444444';

/** The disk that a chain holds, newest state first. */
async function contentOf(format: string, files: readonly Buffer[]): Promise<Buffer> {
  const { map } = formatByName(format);
  const states = [];
  for (const bytes of files) {
    const source = bufferSource(bytes);
    states.push({ source, map: await map!(source) });
  }
  const disk = Buffer.alloc(states[0]!.map.virtualSize);
  await readStates(states, async (bytes, at) => void bytes.copy(disk, at));
  return disk;
}

const apply = (disk: Buffer, pieces: readonly VhdxPiece[], blockSize = 2 * MIB) => {
  const result = Buffer.from(disk);
  for (const piece of pieces)
    if ('zeroBlock' in piece) result.fill(0, piece.zeroBlock * blockSize, (piece.zeroBlock + 1) * blockSize);
    else piece.content.copy(result, piece.offset);
  return result;
};
const isSame = (one: Buffer, other: Buffer) => one.equals(other);

/** Single sectors, runs over the border of a block, the first and the last sector. */
const changes = (): Piece[] => [
  { offset: 0, content: randomBytes(512) },
  { offset: 3 * 512, content: randomBytes(512) },
  { offset: 2 * MIB - 1024, content: randomBytes(4096) },
  { offset: 5 * MIB + 8192, content: randomBytes(65_536) },
  { offset: SIZE - 512, content: randomBytes(512) },
];

describe('VHDX', () => {
  const base = [{ offset: 0, content: randomBytes(5 * MIB) }];
  const file = (
    pieces: readonly VhdxPiece[],
    id: string,
    parent?: string,
    options: { size?: number; blockSize?: number } = {},
  ) =>
    vhdxImage({
      size: SIZE,
      pieces,
      id,
      ...options,
      ...(parent === undefined ? {} : { parent: { id: parent, locator: { relative_path: '.\\base.vhdx' } } }),
    });

  test('two deltas on a base: sectors by their bitmaps, blocks of zeros, blocks of other sizes', async () => {
    const first = [...changes(), { zeroBlock: 3 }];
    const second = [
      { offset: 3 * 512, content: randomBytes(1024) },
      { offset: 7 * MIB, content: randomBytes(512) },
    ];
    const expected = apply(apply(apply(Buffer.alloc(SIZE), base), first), second);
    const files = [
      file(second, SECOND, FIRST, { blockSize: MIB }),
      file(first, FIRST, BASE),
      file(base, BASE),
    ];
    expect(isSame(await contentOf('vhdx', files), expected)).toBe(true);
  });

  test('a disk that was made larger after the snapshot', async () => {
    const first = [{ offset: SIZE + MIB, content: randomBytes(512) }];
    const expected = apply(apply(Buffer.alloc(SIZE + 2 * MIB), base), first);
    const files = [file(first, FIRST, BASE, { size: SIZE + 2 * MIB }), file(base, BASE)];
    expect(isSame(await contentOf('vhdx', files), expected)).toBe(true);
  });

  test('a bitmap in the second chunk', async () => {
    const size = 3 * 2 ** 40;
    const at = 2 ** 40 + 7 * 512;
    const content = randomBytes(512);
    const bytes = file([{ offset: at, content }], FIRST, BASE, { size, blockSize: 256 * MIB });
    const source = bufferSource(bytes);
    const map = await formatByName('vhdx').map!(source);
    expect(await map.runAt(at - 512, size)).toMatchObject({ end: at, from: 'parent' });
    const run = await map.runAt(at, size);
    expect(run.end).toBe(at + 512);
    expect(await source.read(run.from as number, 512)).toEqual(content);
  });

  test('who its parent is, and that it must be copied', async () => {
    const delta = (locator: Record<string, string>) =>
      formatByName('vhdx').parse(
        bufferSource(vhdxImage({ size: SIZE, pieces: [], id: FIRST, parent: { id: BASE, locator } })),
      );
    const windows = { absolute_win32_path: '\\\\?\\D:\\VMs\\web01.vhdx' };
    expect((await delta(windows)).image).toMatchObject({
      variant: 'differencing',
      contentId: FIRST,
      isCopied: true,
      parent: { name: '\\\\?\\D:\\VMs\\web01.vhdx', contentId: BASE, format: 'vhdx' },
    });
    const up = { relative_path: '..\\..\\disks\\web01.vhdx', ...windows };
    expect((await delta(up)).image.parent?.name).toBe('web01.vhdx');
  });

  test.each([
    [
      'a bitmap that is missing',
      (bytes: Buffer, table: number) => bytes.fill(0, table + 8 * 2048, table + 8 * 2048 + 8),
    ],
    ['a state that there is not', (bytes: Buffer, table: number) => bytes.writeUInt8(5, table)],
  ])('%s is corrupt', async (_what, edit) => {
    const bytes = file(changes(), FIRST, BASE);
    edit(bytes, 3 * MIB);
    await expect(contentOf('vhdx', [bytes, file(base, BASE)])).rejects.toMatchObject({
      code: 'fetch.corrupt',
    });
  });

  test('a delta that is cut is not whole', async () => {
    const bytes = file(changes(), FIRST, BASE);
    const source = bufferSource(bytes.subarray(0, bytes.length - 512));
    const { check } = await formatByName('vhdx').parse(source);
    expect(await check(source)).toMatchObject({ complete: false });
  });
});

describe('VHD', () => {
  const id = (digit: number) => Buffer.alloc(16, digit);

  test.each(['dynamic', 'fixed'])('two deltas on a %s base', async (subformat) => {
    const images = await realImages(
      { base: ['-O', 'vpc', '-o', `subformat=${subformat},force_size=on`] },
      SIZE,
    );
    const first = changes();
    const second = [{ offset: 2 * MIB, content: randomBytes(512) }];
    const files = [
      vhdDelta(SIZE, second, { id: id(1), name: 'C:\\VMs\\first.avhd' }, id(2)),
      vhdDelta(SIZE, first, { id: id(0), name: 'base.vhd' }, id(1)),
      images.base!,
    ];
    const expected = apply(apply(images.raw!, first), second);
    expect(isSame(await contentOf('vhd', files), expected)).toBe(true);
  });

  test('who its parent is', async () => {
    const bytes = vhdDelta(SIZE, [], { id: id(7), name: 'C:\\VMs\\base.vhd' }, id(8));
    const { image } = await formatByName('vhd').parse(bufferSource(bytes));
    expect(image).toMatchObject({
      contentId: '08'.repeat(16),
      parent: { name: 'C:\\VMs\\base.vhd', contentId: '07'.repeat(16), format: 'vhd' },
      isCopied: true,
    });
  });
});

test('VDI: blocks of a snapshot, blocks of zeros, and the rest from the base', async () => {
  const { vdi, raw } = await realImages({ vdi: ['-O', 'vdi'] }, SIZE);
  const own = Buffer.from(vdi!);
  const [map, data] = [own.readUInt32LE(340), own.readUInt32LE(344)];
  randomBytes(own.length - data).copy(own, data);
  const delta = vdiDelta(own, { id: randomBytes(16), parent: randomBytes(16), zeroBlocks: [1] });
  const expected = Buffer.from(raw!);
  for (let block = 0; block < SIZE / MIB; block += 1) {
    const place = own.readUInt32LE(map + block * 4);
    if (place < 0xffff_fffe) own.copy(expected, block * MIB, data + place * MIB, data + (place + 1) * MIB);
  }
  expected.fill(0, MIB, 2 * MIB);
  // Some blocks are the snapshot's, and some are not.
  expect(isSame(expected.subarray(2 * MIB), raw!.subarray(2 * MIB))).toBe(false);
  expect(isSame(await contentOf('vdi', [delta, vdi!]), expected)).toBe(true);
});
