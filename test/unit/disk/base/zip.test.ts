import { describe, expect, test } from 'vitest';
import { indexZip } from '../../../../src/disk/base/zip.js';
import { bufferSource } from '../buffer-source.js';
import { type ZipEntry, zipOf } from '../zip-archive.js';

const index = (bytes: Buffer) => indexZip(bufferSource(bytes));
const a: ZipEntry = { name: 'web01.ovf', content: Buffer.from('text '.repeat(100)) };
const b: ZipEntry = { name: './disks/d.vmdk', content: Buffer.alloc(5000, 7), stored: true };

describe('a ZIP archive', () => {
  test.each([
    ['plain', zipOf([a, b])],
    [
      'with ZIP64 fields',
      zipOf([
        { ...a, is64: true },
        { ...b, is64: true },
      ]),
    ],
    ['with a ZIP64 end', zipOf([a, b], { is64: true })],
    [
      'with a directory as older .NET names it',
      zipOf([{ name: 'disks\\', content: Buffer.alloc(0) }, a, { ...b, name: 'disks\\d.vmdk' }]),
    ],
    ['with a directory', zipOf([{ name: 'disks/', content: Buffer.alloc(0), mode: 0o040755 }, a, b])],
  ])('%s: members where they really are', async (_what, bytes) => {
    const [first, second, ...others] = await index(bytes);
    expect(others).toEqual([]);
    expect(first).toMatchObject({ name: 'web01.ovf', deflated: { size: a.content.length } });
    expect(second).toMatchObject({ name: 'disks/d.vmdk', deflated: null });
    const { offset, size } = second!;
    expect(bytes.subarray(offset, offset + size).equals(b.content)).toBe(true);
  });

  test('cut anywhere it has not arrived', async () => {
    const bytes = zipOf([a, b]);
    for (let length = 0; length < bytes.length; length += 97)
      await expect(index(bytes.subarray(0, length))).rejects.toMatchObject({ code: 'fetch.truncated' });
  });

  test.each<[string, Partial<ZipEntry>, string]>([
    ['a name that leads out', { name: '../x' }, 'fetch.refused-reference'],
    ['an absolute name', { name: '/etc/cron.d/x' }, 'fetch.refused-reference'],
    ['an absolute name of Windows', { name: 'C:\\x' }, 'fetch.refused-reference'],
    ['a link', { mode: 0o120777 }, 'fetch.refused-special'],
    ['a device', { mode: 0o060644 }, 'fetch.refused-special'],
    ['encryption', { flags: 1 }, 'fetch.unsupported'],
    ['a name twice', { name: 'disks/d.vmdk' }, 'fetch.corrupt'],
  ])('%s is refused', async (_what, change, code) => {
    await expect(index(zipOf([b, { ...a, ...change }]))).rejects.toMatchObject({ code });
  });

  test('places that are not in the archive are refused', async () => {
    const bytes = zipOf([a, b]);
    const end = bytes.length - 22;
    for (const [offset, value] of [
      [end + 16, 0x7fff_ffff],
      [end + 12, 0x7fff_ffff],
      [bytes.readUInt32LE(end + 16) + 42, 3],
      [bytes.readUInt32LE(end + 16) + 20, 0x7fff_ffff],
    ] as const) {
      const changed = Buffer.from(bytes);
      changed.writeUInt32LE(value, offset);
      await expect(index(changed)).rejects.toMatchObject({ code: 'fetch.corrupt' });
    }
  });

  test('members that share their bytes are refused', async () => {
    const bytes = zipOf([a, { ...a, name: 'again' }]);
    const second = bytes.readUInt32LE(bytes.length - 22 + 16) + 46 + a.name.length;
    bytes.writeUInt32LE(0, second + 42);
    await expect(index(bytes)).rejects.toMatchObject({ code: 'fetch.corrupt' });
  });

  test('a directory with a damaged entry is refused, and does not lack members', async () => {
    const bytes = zipOf([a, b]);
    const second = bytes.readUInt32LE(bytes.length - 22 + 16) + 46 + a.name.length;
    bytes[second] = 0;
    await expect(index(bytes)).rejects.toMatchObject({ code: 'fetch.corrupt' });
    bytes.write('PK\x05\x05', second, 'latin1');
    expect(await index(bytes)).toHaveLength(1);
  });
});
