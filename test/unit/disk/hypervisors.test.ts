import { beforeAll, describe, expect, test } from 'vitest';
import { detectFormat, formatByName } from '../../../src/disk/formats.js';
import { factsOf } from '../../../src/spool/header-facts.js';
import { bufferSource } from './buffer-source.js';
import { MIB, realImages } from './images.js';

const FORMS = {
  'dynamic.vhd': ['-O', 'vpc', '-o', 'force_size=on'],
  'fixed.vhd': ['-O', 'vpc', '-o', 'subformat=fixed,force_size=on'],
  'dynamic.vhdx': ['-O', 'vhdx'],
  'fixed.vhdx': ['-O', 'vhdx', '-o', 'subformat=fixed'],
  'dynamic.vdi': ['-O', 'vdi'],
  'static.vdi': ['-O', 'vdi', '-o', 'static=on'],
};
let images: Record<string, Buffer>;
beforeAll(async () => {
  images = await realImages(FORMS, 5 * MIB);
});

const formatOf = (name: string) => formatByName(name.split('.')[1]!);
const whole = async (name: string, bytes: Buffer) => {
  const source = bufferSource(bytes);
  return (await formatOf(name).parse(source)).check(source);
};

test.each(Object.keys(FORMS))('%s: detected, its size, whole', async (name) => {
  const source = bufferSource(images[name]!);
  expect((await detectFormat(formatOf(name), source))?.name).toBe(name.split('.')[1]);
  const { image } = await formatOf(name).parse(source);
  expect(image).toMatchObject({ virtualSize: 5 * MIB, parent: null });
  expect(await whole(name, images[name]!)).toMatchObject({ complete: true });
});

test.each(Object.keys(FORMS))('%s cut anywhere is not whole', async (name) => {
  const bytes = images[name]!;
  for (let length = 4096; length < bytes.length - 511; length += Math.ceil(bytes.length / 61)) {
    const facts = await factsOf(name, bufferSource(bytes.subarray(0, length)));
    expect(
      facts.kind === 'unreadable' || facts.incomplete !== null,
      `${name} cut to ${length} of ${bytes.length}`,
    ).toBe(true);
  }
});

test('a VDI has VirtualBox’s UUID', async () => {
  const bytes = Buffer.from(images['dynamic.vdi']!);
  Buffer.from('0e6cd72a00001111222200ff11223344', 'hex').copy(bytes, 392);
  const { image } = await formatOf('dynamic.vdi').parse(bufferSource(bytes));
  expect(image.uuid).toBe('2ad76c0e00001111222200ff11223344');
});

describe('refused with advice', () => {
  const change = async (name: string, edit: (bytes: Buffer) => void) => {
    const bytes = Buffer.from(images[name]!);
    edit(bytes);
    return formatOf(name).parse(bufferSource(bytes));
  };
  test('a VDI that is linked to another in a way of its own', async () => {
    await expect(change('dynamic.vdi', (bytes) => bytes.writeUInt32LE(3, 76))).rejects.toMatchObject({
      code: 'fetch.unsupported',
    });
    await expect(change('dynamic.vdi', (bytes) => bytes.fill(1, 424, 440))).rejects.toMatchObject({
      code: 'fetch.unsupported',
    });
  });
  test('a VHDX with a log to replay', async () => {
    const edit = (bytes: Buffer) => {
      for (const offset of [65_536, 131_072]) bytes.fill(0x11, offset + 48, offset + 64);
    };
    await expect(change('dynamic.vhdx', edit)).rejects.toMatchObject({ code: 'fetch.unsupported' });
  });
  test('a differencing VHDX that does not name its parent', async () => {
    const edit = (bytes: Buffer) => {
      const id = Buffer.from('3767a1ca36fa434db3b633f0aa44e76b', 'hex');
      const entry = bytes.indexOf(id);
      const metadata = entry - ((entry - 32) % 32) - 32;
      const table = bytes.lastIndexOf('metadata', metadata + 32);
      const at = table + bytes.readUInt32LE(entry + 16);
      bytes.writeUInt32LE(bytes.readUInt32LE(at + 4) | 2, at + 4);
    };
    await expect(change('dynamic.vhdx', edit)).rejects.toMatchObject({ code: 'fetch.corrupt' });
  });
  test('impossible sizes', async () => {
    await expect(
      change('dynamic.vdi', (bytes) => bytes.writeBigUInt64LE(2n ** 60n, 368)),
    ).rejects.toMatchObject({ code: 'fetch.corrupt' });
    await expect(change('dynamic.vdi', (bytes) => bytes.writeUInt32LE(4096, 376))).rejects.toMatchObject({
      code: 'fetch.unsupported',
    });
  });
});

test.each(['fixed.vhd', 'dynamic.vhd'])(
  '%s with a wrong checksum in its footer is damaged, nobody waits for it',
  async (name) => {
    const bytes = Buffer.from(images[name]!);
    bytes[bytes.length - 512 + 64]! ^= 0xff;
    await expect(detectFormat(formatByName('vhd'), bufferSource(bytes))).resolves.toMatchObject({
      name: 'vhd',
    });
    await expect(formatByName('vhd').parse(bufferSource(bytes))).rejects.toMatchObject({
      code: 'fetch.corrupt',
    });
    expect(await factsOf('a.vhd', bufferSource(bytes))).toMatchObject({ kind: 'disk', incomplete: null });
  },
);

test('a fixed VHD whose footer has not arrived waits, and is not taken for a raw disk', async () => {
  const bytes = images['fixed.vhd']!.subarray(0, 5 * MIB);
  await expect(detectFormat(formatByName('vhd'), bufferSource(bytes))).rejects.toMatchObject({
    code: 'fetch.truncated',
  });
});
