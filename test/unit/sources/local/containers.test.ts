import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { localSource } from '../../../../src/sources/local/local-source.js';
import { factsOf } from '../../../../src/spool/header-facts.js';
import { makeContext, makeJob } from '../../../integration/flatten-images.js';
import { bufferSource } from '../../disk/buffer-source.js';
import { MIB, realImages } from '../../disk/images.js';
import { md5, vmaOf } from '../../disk/vma-archive.js';
import { xvaOf } from '../../disk/xva-archive.js';

/** Opens one file as a drop, and reads the plain copies of its disks. */
async function open(name: string, bytes: Buffer) {
  const job = await makeJob();
  await writeFile(join(job.source, name), bytes);
  const drop = { directory: job.source, entries: [name] };
  const source = await localSource.open({ drop }, makeContext(job, drop.entries));
  const disks = await Promise.all(
    source.disks.map(async ({ controller, chain }) => {
      const [layer] = chain.layers as [(typeof chain.layers)[number]];
      expect(layer).toMatchObject({ format: 'raw', bytes: { place: 'work' } });
      return { controller, name: layer.name, content: await readFile(join(job.work, layer.bytes.path)) };
    }),
  );
  return { ...source, disks };
}

/** What a program makes of the bytes. */
const packedBy = (program: string) => (bytes: Buffer) =>
  execFileSync(program, ['-c'], { input: bytes, maxBuffer: 64 * MIB, stdio: ['pipe', 'pipe', 'ignore'] });

describe('Proxmox’ backup', () => {
  const CONFIGURATION =
    'boot: order=scsi1\ncores: 2\nmemory: 1024\nname: web01\nnet0: virtio=9E:19:C3:D0:E2:F7,bridge=vmbr0\nscsi0: a:b\nscsi1: a:c\n';

  test.each<[string, (bytes: Buffer) => Buffer]>([
    ['vzdump-qemu-100.vma', (bytes) => bytes],
    ['vzdump-qemu-100.vma.zst', packedBy('zstd')],
    ['vzdump-qemu-100.vma.gz', (bytes) => gzipSync(bytes)],
    ['vzdump-qemu-100.vma.lzo', packedBy('lzop')],
  ])('%s', async (name, pack) => {
    const { raw } = await realImages({});
    // What a guest wrote to its own disk decides nothing.
    const foreign = Buffer.concat([Buffer.from('QFI\xfb', 'latin1'), randomBytes(MIB - 4)]);
    const disks = [
      { name: 'drive-scsi0', content: foreign },
      { name: 'drive-scsi1', content: raw! },
    ];
    const found = await open(name, pack(vmaOf({ disks, configuration: CONFIGURATION })));
    expect(found.disks.map(({ controller }) => controller)).toEqual(['scsi0:1', 'scsi0:0']);
    expect(found.disks[0]!.name).toBe('vzdump-qemu-100.vma/drive-scsi1.raw');
    expect(found.disks[0]!.content.equals(raw!)).toBe(true);
    expect(found.disks[1]!.content.equals(foreign)).toBe(true);
    expect(found.hardware).toMatchObject({ name: 'web01', memory_mib: 1024, vcpus: 2, firmware: 'bios' });
    expect(found.hardware.nics).toMatchObject([{ mac: '9e:19:c3:d0:e2:f7' }]);
    expect(found).toMatchObject({ passedOver: [], warnings: [] });
  });

  test('the end is missing', async () => {
    const bytes = vmaOf({ disks: [{ name: 'drive-scsi0', content: randomBytes(MIB) }] });
    const cut = bytes.subarray(0, bytes.length - 4096);
    await expect(open('a.vma', cut)).rejects.toMatchObject({
      code: 'fetch.truncated',
      message: expect.stringContaining('a.vma'),
    });
    expect(await factsOf('a.vma', bufferSource(cut))).toMatchObject({
      kind: 'disk',
      incomplete: expect.any(String),
    });
    expect(await factsOf('a.vma', bufferSource(bytes))).toMatchObject({ kind: 'disk', incomplete: null });
  });

  test('a file of that name that is another', async () => {
    await expect(open('a.vma', Buffer.from('%PDF-1.4'.padEnd(1024)))).rejects.toMatchObject({
      code: 'fetch.unknown-format',
    });
    await expect(open('a.vma.gz', gzipSync(Buffer.alloc(4096, 1)))).rejects.toMatchObject({
      code: 'fetch.corrupt',
    });
  });

  test('a disk that is larger than any may be', async () => {
    const bytes = vmaOf({ disks: [{ name: 'drive-scsi0', content: Buffer.alloc(MIB) }] });
    const length = bytes.readUInt32BE(56);
    bytes.writeBigUInt64BE(2n ** 46n + 512n, 4096 + 32 + 8);
    md5(bytes.subarray(0, length), 32);
    await expect(open('a.vma', bytes)).rejects.toMatchObject({ code: 'fetch.bomb' });
  });
});

describe('XenServer’s export', () => {
  test.each<[string, (bytes: Buffer) => Buffer]>([
    ['web01.xva', (bytes) => bytes],
    ['compressed under its own name.xva', packedBy('zstd')],
    ['web01.xva.gz', (bytes) => gzipSync(bytes)],
  ])('%s', async (name, pack) => {
    const { raw } = await realImages({});
    const swap = randomBytes(MIB + 512);
    swap.fill(0, 65_536, 3 * 65_536);
    const disks = [
      { ref: 'Ref:4', content: swap, device: '1' },
      { ref: 'Ref:12', content: raw!, device: '0' },
    ];
    const found = await open(name, pack(xvaOf({ disks })));
    expect(found.disks.map(({ name: disk }) => disk.replace(/.*\//, ''))).toEqual([
      'Ref-12.raw',
      'Ref-4.raw',
    ]);
    expect(found.disks[0]!.content.equals(raw!)).toBe(true);
    expect(found.disks[1]!.content.equals(swap)).toBe(true);
    expect(found.hardware).toMatchObject({ name: 'web & db', memory_mib: 2048, vcpus: 2, firmware: 'bios' });
    expect(found).toMatchObject({ passedOver: [], warnings: [] });
  });

  test('the end is missing', async () => {
    const bytes = xvaOf({ disks: [{ ref: 'Ref:4', content: randomBytes(MIB) }] });
    const cut = bytes.subarray(0, MIB / 2);
    await expect(open('a.xva', cut)).rejects.toMatchObject({ code: 'fetch.truncated' });
    expect(await factsOf('a.xva', bufferSource(cut))).toMatchObject({
      kind: 'disk',
      incomplete: expect.any(String),
    });
    expect(await factsOf('a.xva', bufferSource(bytes))).toMatchObject({ kind: 'disk', incomplete: null });
  });
});
