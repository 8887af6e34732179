import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { unpackedKernel, withUnpackedKernel } from '../../../src/appliance/unpacked-kernel.js';
import { run } from '../../../src/tools/run.js';

const signal = new AbortController().signal;
const PHYS32_ENTRY = 18;
const GNU_BUILD_ID = 3;

/** An ELF program with one note. */
function elf(type: number, name = 'Xen\0'): Buffer {
  const bytes = Buffer.alloc(0x200);
  bytes.write('\x7fELF\x02\x01', 'latin1');
  bytes.writeBigUInt64LE(0x40n, 0x20);
  bytes.writeUInt16LE(0x38, 0x36);
  bytes.writeUInt16LE(2, 0x38);
  bytes.writeUInt32LE(1, 0x40);
  bytes.writeUInt32LE(4, 0x78);
  bytes.writeBigUInt64LE(0x100n, 0x80);
  bytes.writeBigUInt64LE(48n, 0x98);
  // Another note of five bytes before it, which is padded.
  const notes = [
    { of: 'GNU\0', type: GNU_BUILD_ID, bytes: 5 },
    { of: name, type, bytes: 8 },
  ];
  let at = 0x100;
  for (const note of notes) {
    bytes.writeUInt32LE(note.of.length, at);
    bytes.writeUInt32LE(note.bytes, at + 4);
    bytes.writeUInt32LE(note.type, at + 8);
    bytes.write(note.of, at + 12, 'latin1');
    at += 16 + Math.ceil(note.bytes / 4) * 4;
  }
  return bytes;
}

/** A bzImage with this payload, and what follows it in a real one. */
function bzImage(payload: Buffer, sectors = 1): Buffer {
  const head = Buffer.alloc((sectors + 1) * 512 + 0x40);
  head[0x1f1] = sectors;
  head.write('HdrS', 0x202, 'latin1');
  head.writeUInt32LE(0x40, 0x248);
  head.writeUInt32LE(payload.length, 0x24c);
  return Buffer.concat([head, payload, Buffer.alloc(64, 0xcc)]);
}

const size = Buffer.from([0, 2, 0, 0]);

describe('unpackedKernel', () => {
  it('unpacks what kernels are packed with', async () => {
    const kernel = elf(PHYS32_ENTRY);
    const xz = (await run('xz', ['-c', '--check=crc32'], { input: kernel })).stdout;
    expect(await unpackedKernel(bzImage(gzipSync(kernel)), signal)).toEqual(kernel);
    expect(await unpackedKernel(bzImage(Buffer.concat([zstdCompressSync(kernel), size])), signal)).toEqual(
      kernel,
    );
    expect(await unpackedKernel(bzImage(Buffer.concat([xz, size]), 3), signal)).toEqual(kernel);
  });

  it('leaves a kernel packed that QEMU cannot start unpacked', async () => {
    for (const kernel of [elf(PHYS32_ENTRY - 1), elf(PHYS32_ENTRY, 'BSD\0'), Buffer.from('no ELF')])
      expect(await unpackedKernel(bzImage(gzipSync(kernel)), signal)).toBeNull();
  });

  it('leaves packed what it cannot unpack', async () => {
    const kernel = gzipSync(elf(PHYS32_ENTRY));
    const xz = (await run('xz', ['-c'], { input: elf(PHYS32_ENTRY) })).stdout;
    const images = [
      Buffer.alloc(0),
      Buffer.from('MZ'),
      // The Image of another architecture, packed as a whole.
      gzipSync(Buffer.alloc(4096)),
      bzImage(Buffer.from('lz4 or lzo, as the kernel packs it')),
      bzImage(kernel.subarray(0, kernel.length / 2)),
      bzImage(xz.subarray(0, xz.length / 2)),
      bzImage(Buffer.alloc(0)),
    ];
    for (const image of images) expect(await unpackedKernel(image, signal)).toBeNull();
  });
});

describe('withUnpackedKernel', () => {
  let cache: string;
  let built: string;
  beforeEach(() => {
    cache = mkdtempSync(join(tmpdir(), 'h2k-appliance-'));
    built = join(cache, 'appliance.d');
    mkdirSync(built);
    for (const name of ['initrd', 'root', 'README.fixed']) writeFileSync(join(built, name), name);
  });
  afterEach(() => rmSync(cache, { recursive: true }));

  const inode = (path: string) => statSync(path).ino;

  it('puts the unpacked kernel beside the rest of the appliance, once', async () => {
    writeFileSync(join(built, 'kernel'), bzImage(gzipSync(elf(PHYS32_ENTRY))));
    const own = await withUnpackedKernel(built, cache, signal);
    expect(readFileSync(join(own, 'kernel'))).toEqual(elf(PHYS32_ENTRY));
    for (const name of ['initrd', 'root', 'README.fixed'])
      expect(inode(join(own, name))).toBe(inode(join(built, name)));
    const kernel = inode(join(own, 'kernel'));
    expect(await withUnpackedKernel(built, cache, signal)).toBe(own);
    expect(inode(join(own, 'kernel'))).toBe(kernel);
  });

  it('uses the packed kernel where there is no other', async () => {
    writeFileSync(join(built, 'kernel'), 'any');
    const own = await withUnpackedKernel(built, cache, signal);
    expect(inode(join(own, 'kernel'))).toBe(inode(join(built, 'kernel')));
  });

  it('follows an appliance that was built again, and keeps one only, and what may be in use', async () => {
    writeFileSync(join(built, 'kernel'), 'old');
    const first = await withUnpackedKernel(built, cache, signal);
    const left = ['unpacked-new-crashed', 'unpacked-new-other'].map((name) => join(cache, name));
    for (const path of left) mkdirSync(path);
    for (const path of [first, left[0]!]) utimesSync(path, 1_000_000, 1_000_000);
    writeFileSync(join(built, 'kernel'), 'new');
    utimesSync(join(built, 'kernel'), 1_000_000, 1_000_000);
    const second = await withUnpackedKernel(built, cache, signal);
    expect(second).not.toBe(first);
    expect(readFileSync(join(second, 'kernel'), 'utf8')).toBe('new');
    expect(readdirSync(cache).toSorted()).toEqual(
      ['appliance.d', second.slice(cache.length + 1), 'unpacked-new-other'].toSorted(),
    );
  });

  it('is the same after another process has written README.fixed, too', async () => {
    writeFileSync(join(built, 'kernel'), 'any');
    const first = await withUnpackedKernel(built, cache, signal);
    utimesSync(join(built, 'README.fixed'), 1_000_000, 1_000_000);
    expect(await withUnpackedKernel(built, cache, signal)).toBe(first);
  });

  it('is not put together of two builds', async () => {
    writeFileSync(join(built, 'kernel'), bzImage(gzipSync(Buffer.alloc(20_000_000))));
    const made = withUnpackedKernel(built, cache, signal);
    while (readdirSync(cache).length === 1) await setTimeout(1);
    utimesSync(join(built, 'root'), 2_000_000, 2_000_000);
    writeFileSync(join(built, 'kernel'), 'new');
    const own = await made;
    expect(readFileSync(join(own, 'kernel'), 'utf8')).toBe('new');
    expect(await withUnpackedKernel(built, cache, signal)).toBe(own);
    expect(readdirSync(cache)).toHaveLength(2);
  });

  it('is made whole by several processes at once', async () => {
    writeFileSync(join(built, 'kernel'), bzImage(gzipSync(elf(PHYS32_ENTRY))));
    const made = await Promise.all(Array.from({ length: 8 }, () => withUnpackedKernel(built, cache, signal)));
    expect(new Set(made).size).toBe(1);
    expect(readdirSync(made[0]!).toSorted()).toEqual(['README.fixed', 'initrd', 'kernel', 'root']);
    expect(readdirSync(cache)).toHaveLength(2);
  });

  it('leaves what another process is making, and removes what a killed one was', async () => {
    writeFileSync(join(built, 'kernel'), 'any');
    for (const name of ['unpacked-new-live', 'unpacked-new-dead']) mkdirSync(join(cache, name));
    const yesterday = Date.now() / 1000 - 86_400;
    utimesSync(join(cache, 'unpacked-new-dead'), yesterday, yesterday);
    await withUnpackedKernel(built, cache, signal);
    expect(readdirSync(cache).filter((name) => name.startsWith('unpacked-new-'))).toEqual([
      'unpacked-new-live',
    ]);
  });
});
