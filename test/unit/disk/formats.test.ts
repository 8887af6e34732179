import { beforeAll, describe, expect, test } from 'vitest';
import { detectFormat, formatOfExtension } from '../../../src/disk/formats.js';
import { raw } from '../../../src/disk/raw.js';
import { bufferSource } from './buffer-source.js';
import { descriptor, MIB, realImages } from './images.js';

let images: Record<string, Buffer>;
beforeAll(async () => {
  images = await realImages({ qcow2: ['-O', 'qcow2'], vmdk: ['-O', 'vmdk'] });
});
const detect = async (name: string, bytes: Buffer) =>
  (await detectFormat(formatOfExtension(name), bufferSource(bytes)))?.name ?? null;

describe('format by content, confirmed by the name', () => {
  test('agreeing', async () => {
    expect(await detect('a.QCOW2', images.qcow2!)).toBe('qcow2');
    expect(await detect('a.vmdk', images.vmdk!)).toBe('vmdk');
    expect(await detect('a.vmdk', descriptor(['RW 1 FLAT "a" 0']))).toBe('vmdk');
    for (const name of ['a.img', 'a.raw', 'a.dd']) expect(await detect(name, images.raw!)).toBe('raw');
  });

  test.each(['a.img', 'a.vmdk', 'a', 'a.iso'])(
    'a qcow2 header under the name %s is refused',
    async (name) => {
      await expect(detect(name, images.qcow2!)).rejects.toMatchObject({
        code: 'fetch.conflicting-format',
        advice: expect.stringContaining('.qcow2'),
      });
    },
  );

  test('a guest that writes a header into its own raw disk', async () => {
    const bytes = Buffer.from(images.raw!);
    descriptor(['RW 1 FLAT "/etc/shadow" 0']).copy(bytes, 0, 0, 300);
    await expect(detect('a.raw', bytes)).rejects.toMatchObject({ code: 'fetch.conflicting-format' });
  });

  test('text, zeros and random bytes are nothing', async () => {
    expect(await detect('a.vmdk', Buffer.from('hello, this is a note\n'.repeat(100)))).toBeNull();
    expect(await detect('a.raw', Buffer.alloc(MIB))).toBeNull();
    expect(await detect('a.img', Buffer.from('#!/bin/sh\n'.repeat(200)))).toBeNull();
    expect(await detect('a', images.raw!)).toBeNull();
  });
});

describe('raw disks', () => {
  const whole = async (bytes: Buffer) => (await raw.parse(bufferSource(bytes))).check(bufferSource(bytes));

  test('cut before the end of the last partition', async () => {
    expect(await whole(images.raw!)).toMatchObject({ complete: true });
    expect(await whole(images.raw!.subarray(0, 2 * MIB))).toMatchObject({ complete: false });
  });

  test('GPT: cut before the backup header', async () => {
    const bytes = Buffer.alloc(MIB);
    bytes.write('EFI PART', 512);
    bytes.writeBigUInt64LE(BigInt(MIB / 512 - 1), 512 + 32);
    expect(await whole(bytes)).toMatchObject({ complete: true });
    expect(await whole(bytes.subarray(0, MIB - 512))).toMatchObject({ complete: false });
    expect(await whole(bytes.subarray(0, 1024))).toMatchObject({ complete: false });
    const { check } = await raw.parse(bufferSource(bytes));
    expect(await check(bufferSource(bytes.subarray(0, 560)))).toMatchObject({ complete: false });
  });

  test.each([
    ['xfs', 0, 'XFSB'],
    ['btrfs', 65_600, '_BHRfS_M'],
    ['lvm2', 512, 'LABELONE'],
    ['ntfs', 3, 'NTFS    '],
    ['swap', 4086, 'SWAPSPACE2'],
  ])('a disk that is one %s', async (name, offset, magic) => {
    const bytes = Buffer.alloc(MIB);
    bytes.write(magic, offset, 'latin1');
    expect((await raw.parse(bufferSource(bytes))).image.variant).toBe(name);
  });

  test('a boot signature without a sane table is no disk', async () => {
    const bytes = Buffer.alloc(MIB, 0x33);
    bytes.writeUInt16LE(0xaa55, 510);
    expect(await raw.detect(bytes, bufferSource(bytes))).toBe(false);
  });
});
