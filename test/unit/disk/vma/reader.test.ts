import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { VmaReader } from '../../../../src/disk/vma/reader.js';
import { vmaCompleteness } from '../../../../src/disk/vma/whole.js';
import { bufferSource } from '../buffer-source.js';
import { md5, type VmaOptions, vmaOf } from '../vma-archive.js';

const CLUSTER = 65_536;

/** A disk with data, holes inside of clusters, and a last block that is not a whole one. */
function disk(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 3 * 4096) randomBytes(Math.min(4096, size - at)).copy(bytes, at);
  bytes.fill(0, 2 * CLUSTER, 5 * CLUSTER);
  randomBytes(512).copy(bytes, size - 512);
  return bytes;
}

async function read(bytes: Buffer, piece = bytes.length): Promise<Record<string, Buffer>> {
  const disks: Record<string, Buffer> = {};
  const reader = new VmaReader({
    async onHeader({ devices, files }) {
      for (const { name, size } of devices) disks[name] = Buffer.alloc(size);
      for (const { name, content } of files) disks[name] = content;
    },
    onBlocks: async ({ name }, block, at) => void block.copy(disks[name]!, at),
  });
  for (let at = 0; at < bytes.length; at += piece) await reader.take(bytes.subarray(at, at + piece));
  reader.end();
  return disks;
}

const two = (): VmaOptions => ({
  disks: [
    { name: 'drive-scsi0', content: disk(70 * CLUSTER + 4096 + 512) },
    { name: 'drive-scsi1', content: disk(9 * CLUSTER) },
  ],
  configuration: 'name: web01\n',
});

describe.each([1_000_000_000, 65_536, 997])('in pieces of %d bytes', (piece) => {
  test('disks whose clusters are in any order, and the configuration', async () => {
    const options = two();
    const bytes = vmaOf({
      ...options,
      arrange: (all) => all.sort((a, b) => (a.number % 7) - (b.number % 7)),
    });
    const found = await read(bytes, piece);
    expect(found['qemu-server.conf']?.toString()).toBe('name: web01\n');
    for (const { name, content } of options.disks) expect(found[name]!.equals(content)).toBe(true);
    expect(await vmaCompleteness(bufferSource(bytes))).toEqual({ complete: true, allocated: null });
  });
});

test('the memory of a snapshot is passed over', async () => {
  const content = disk(8 * CLUSTER);
  const bytes = vmaOf({
    disks: [
      { name: 'drive-scsi0', content },
      { name: 'vmstate', content: randomBytes(3 * CLUSTER) },
    ],
  });
  const found = await read(bytes);
  expect(Object.keys(found)).toEqual(['drive-scsi0']);
  expect(found['drive-scsi0']!.equals(content)).toBe(true);
  expect(await vmaCompleteness(bufferSource(bytes))).toMatchObject({ complete: true });
});

test('one that is cut anywhere is not whole', async () => {
  const bytes = vmaOf(two());
  for (let length = 60; length < bytes.length; length += Math.ceil(bytes.length / 23)) {
    const cut = bytes.subarray(0, length);
    await expect(read(cut)).rejects.toMatchObject({ code: 'fetch.truncated' });
    expect(await vmaCompleteness(bufferSource(cut))).toMatchObject({ complete: false });
  }
  // At the end of an extent.
  const first = vmaOf({ ...two(), arrange: (all) => all.slice(0, 59) });
  await expect(read(first)).rejects.toMatchObject({ code: 'fetch.truncated' });
  expect(await vmaCompleteness(bufferSource(first))).toMatchObject({ complete: false });
});

describe('refused', () => {
  const changed = (edit: (bytes: Buffer) => void) => {
    const bytes = vmaOf(two());
    edit(bytes);
    return bytes;
  };
  const header = (edit: (bytes: Buffer) => void) =>
    changed((bytes) => {
      const length = bytes.readUInt32BE(56);
      edit(bytes);
      md5(bytes.subarray(0, length), 32);
    });
  const extent = (edit: (bytes: Buffer) => void) =>
    changed((bytes) => {
      const own = bytes.subarray(bytes.readUInt32BE(56)).subarray(0, 512);
      edit(own);
      md5(own, 24);
    });
  test.each<[string, Buffer]>([
    ['a header with a wrong checksum', changed((bytes) => bytes.writeUInt8(1, 100))],
    ['an extent with a wrong checksum', changed((bytes) => bytes.writeUInt8(1, bytes.readUInt32BE(56) + 4))],
    ['an extent of another archive', extent((bytes) => bytes.writeUInt8(1, 8))],
    ['a cluster twice', vmaOf({ ...two(), arrange: (all) => [...all, all[3]!] })],
    ['a cluster of no disk', extent((bytes) => bytes.writeUInt8(9, 43))],
    ['a cluster behind the end', extent((bytes) => bytes.writeUInt32BE(0xffff_ffff, 44))],
    ['a wrong number of blocks', extent((bytes) => bytes.writeUInt16BE(3, 6))],
    ['an impossible size', header((bytes) => bytes.writeBigUInt64BE(2n ** 60n, 4096 + 32 + 8))],
    ['a size that is no number of sectors', header((bytes) => bytes.writeBigUInt64BE(1000n, 4096 + 32 + 8))],
    ['texts outside of the header', header((bytes) => bytes.writeUInt32BE(2 ** 31, 52))],
    ['a name outside of the header', header((bytes) => bytes.writeUInt32BE(60_000, 4096 + 32))],
    [
      'a name that leads elsewhere',
      vmaOf({ disks: [{ name: '../../etc/x', content: Buffer.alloc(512, 1) }] }),
    ],
    [
      'two disks of one name',
      vmaOf({ disks: ['a', 'a'].map((name) => ({ name, content: Buffer.alloc(512, 1) })) }),
    ],
    ['an impossible header', changed((bytes) => bytes.writeUInt32BE(0xffff_ffff, 56))],
  ])('%s', async (_what, bytes) => {
    await expect(read(bytes)).rejects.toMatchObject({ code: 'fetch.corrupt' });
  });
});
