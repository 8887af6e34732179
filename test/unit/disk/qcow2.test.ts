import { beforeAll, describe, expect, test } from 'vitest';
import { qcow2 } from '../../../src/disk/qcow2/index.js';
import { bufferSource } from './buffer-source.js';
import { MIB, realImages } from './images.js';

const FORMS = {
  v3: ['-O', 'qcow2'],
  v2: ['-O', 'qcow2', '-o', 'compat=0.10'],
  zlib: ['-O', 'qcow2', '-c'],
  zstd: ['-O', 'qcow2', '-c', '-o', 'compression_type=zstd'],
  extended: ['-O', 'qcow2', '-o', 'extended_l2=on,cluster_size=128k'],
  small: ['-O', 'qcow2', '-o', 'cluster_size=512'],
  preallocated: ['-O', 'qcow2', '-o', 'preallocation=metadata'],
};
let images: Record<string, Buffer>;
beforeAll(async () => {
  images = await realImages(FORMS);
});

const parse = async (bytes: Buffer) => (await qcow2.parse(bufferSource(bytes))).image;
const whole = async (bytes: Buffer) => (await qcow2.parse(bufferSource(bytes))).check(bufferSource(bytes));

test.each(Object.keys(FORMS))('%s: size and completeness', async (form) => {
  expect(await parse(images[form]!)).toMatchObject({
    variant: form === 'v2' ? 'v2' : 'v3',
    virtualSize: 3 * MIB,
    parent: null,
  });
  expect(await whole(images[form]!)).toMatchObject({ complete: true, allocated: expect.any(Number) });
});

test.each(['v3', 'v2', 'zlib', 'extended', 'small'])('%s cut anywhere is not whole', async (form) => {
  const bytes = images[form]!;
  const cluster = form === 'extended' ? 131_072 : form === 'small' ? 512 : 65_536;
  for (let length = 200; length <= bytes.length - cluster; length += Math.ceil(bytes.length / 61)) {
    const result = await whole(bytes.subarray(0, length));
    expect(result.complete, `${form} cut to ${length} of ${bytes.length}`).toBe(false);
  }
});

describe('refused', () => {
  const change = (edit: (bytes: Buffer) => void) => {
    const bytes = Buffer.from(images.v3!);
    edit(bytes);
    return parse(bytes);
  };
  test.each([
    ['an external data file', 4n, 'fetch.unsupported'],
    ['marked as corrupt', 2n, 'fetch.corrupt'],
    ['an unknown feature', 1n << 40n, 'fetch.unsupported'],
  ])('%s', async (_what, bits, code) => {
    await expect(change((bytes) => bytes.writeBigUInt64BE(bits, 72))).rejects.toMatchObject({ code });
  });
  test('a data file named in an extension, without the bit', async () => {
    const bytes = Buffer.from(images.v3!);
    bytes.writeUInt32BE(0x44415441, bytes.readUInt32BE(100));
    await expect(parse(bytes)).rejects.toMatchObject({ code: 'fetch.unsupported' });
  });
  test('encryption', async () => {
    await expect(change((bytes) => bytes.writeUInt32BE(2, 32))).rejects.toMatchObject({
      code: 'fetch.unsupported',
    });
  });
  test.each([
    ['a petabyte', (bytes: Buffer) => bytes.writeBigUInt64BE(2n ** 55n, 24)],
    ['an L1 table of gigabytes', (bytes: Buffer) => bytes.writeUInt32BE(0x2000_0000, 36)],
    ['a refcount table of gigabytes', (bytes: Buffer) => bytes.writeUInt32BE(0xffff, 56)],
    ['a cluster size of 4 GiB', (bytes: Buffer) => bytes.writeUInt32BE(32, 20)],
    [
      'a backing name of 64 KiB',
      (bytes: Buffer) => {
        bytes.writeBigUInt64BE(112n, 8);
        bytes.writeUInt32BE(65_000, 16);
      },
    ],
  ])('%s', async (_what, edit) => {
    await expect(change(edit)).rejects.toMatchObject({ code: 'fetch.corrupt' });
  });
});
