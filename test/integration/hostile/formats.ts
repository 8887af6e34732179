import { execFileSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  openSync,
  readFileSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { descriptor } from '../../unit/disk/images.js';
import {
  type HostileCase,
  one,
  patched,
  qemuImg,
  rawDisk,
  several,
  u32be,
  u32le,
  u64be,
  u64le,
} from './corpus.js';

const CORRUPT = 'fetch.corrupt';
const CONFLICT = 'fetch.conflicting-format';
const MIB = 1024 * 1024;

/** CVE-2010-3851, CVE-2015-1850: the format is not what the name says. */
const WRONG: readonly HostileCase[] = [
  one('a qcow2 named .img', CONFLICT, 'disk.img', ({ images }) => images.qcow2!),
  one('a qcow2 named .raw', CONFLICT, 'disk.raw', ({ images }) => images.qcow2!),
  one('a VMDK text named .raw', CONFLICT, 'disk.raw', ({ canary }) =>
    descriptor([`RW 1 FLAT "${canary}" 0`]),
  ),
  one('a VMDK named .qcow2', CONFLICT, 'disk.qcow2', ({ images }) => images.vmdk!),
  one('a raw disk named .vmdk', CONFLICT, 'disk.vmdk', () => rawDisk(MIB)),
  one('a raw disk named .qcow2', CONFLICT, 'disk.qcow2', () => rawDisk(MIB)),
  one('head of a qcow2 and footer of a VHD', CONFLICT, 'disk.vhd', ({ images }) =>
    patched(images['fixed.vhd']!, [0, images.qcow2!.subarray(0, 512)]),
  ),
  one('head of a VMDK text and footer of a VHD', CONFLICT, 'disk.vmdk', ({ images, canary }) =>
    patched(images['fixed.vhd']!, [0, `# Disk DescriptorFile\nRW 1 FLAT "${canary}" 0\n`]),
  ),
  one('a qcow2 behind the MBR of a raw disk', 'converted', 'disk.raw', ({ images }) => {
    const disk = rawDisk(4 * MIB);
    images.qcow2!.subarray(0, MIB).copy(disk, 512);
    return disk;
  }),
  one('plain text named .vmdk', 'fetch.unknown-format', 'disk.vmdk', () =>
    'root:x:0:0:root:/root:/bin/bash\n'.repeat(40),
  ),
  one(
    'a web page named .qcow2',
    'fetch.unknown-format',
    'disk.qcow2',
    () => `<!doctype html>${'<p>404</p>'.repeat(99)}`,
  ),
  one('an empty .vmdk', ['fetch.unknown-format', 'fetch.truncated'], 'disk.vmdk', () => ''),
];

const huge = (path: string, head: Buffer, size: number) => {
  const file = openSync(path, 'w');
  writeSync(file, head);
  ftruncateSync(file, size);
  closeSync(file);
};

/** CVE-2015-5162: sizes and tables that would eat memory, disk or time. */
const SIZES: readonly HostileCase[] = [
  one('qcow2 of 4 EiB', CORRUPT, 'disk.qcow2', ({ images }) =>
    patched(images.qcow2!, [24, u64be(1n << 62n)]),
  ),
  one('qcow2 of 200 TiB with a table that fits', [CORRUPT, 'flatten.too-large'], 'disk.qcow2', ({ images }) =>
    patched(images.qcow2!, [24, u64be(200n << 40n)], [36, u32be(400_000)]),
  ),
  several('qcow2 that really says 100 TiB', 'flatten.too-large', (directory) =>
    qemuImg(['create', '-f', 'qcow2', '-o', 'cluster_size=2M', join(directory, 'disk.qcow2'), '100T']),
  ),
  one('qcow2 with an L1 table of 16 GiB', CORRUPT, 'disk.qcow2', ({ images }) =>
    patched(images.qcow2!, [36, u32be(0x7fff_ffff)]),
  ),
  one('qcow2 with clusters of 2^63 bytes', CORRUPT, 'disk.qcow2', ({ images }) =>
    patched(images.qcow2!, [20, u32be(63)]),
  ),
  one('qcow2 with a refcount table of 256 TiB', CORRUPT, 'disk.qcow2', ({ images }) =>
    patched(images.qcow2!, [56, u32be(0xffff_ffff)]),
  ),
  one('qcow2 with 4 billion snapshots', CORRUPT, 'disk.qcow2', ({ images }) =>
    patched(images.qcow2!, [60, u32be(0xffff_ffff)]),
  ),
  one(
    'qcow2 whose L2 tables lie on its header',
    [CORRUPT, 'converted', 'fetch.truncated'],
    'disk.qcow2',
    ({ images }) => {
      const l1 = Number(images.qcow2!.readBigUInt64BE(40));
      return patched(images.qcow2!, [l1, u64be(1n << 63n)]);
    },
  ),
  one('qcow2 with a header extension without end', CORRUPT, 'disk.qcow2', ({ images }) =>
    patched(images.qcow2!, [
      images.qcow2!.readUInt32BE(100),
      Buffer.concat([u32be(0x1234), u32be(0xffff_fff0)]),
    ]),
  ),
  one('VMDK of 8 ZiB', CORRUPT, 'disk.vmdk', ({ images }) => patched(images.vmdk!, [12, u64le(1n << 62n)])),
  one('VMDK with grains of 2^60 bytes', CORRUPT, 'disk.vmdk', ({ images }) =>
    patched(images.vmdk!, [20, u64le(1n << 51n)]),
  ),
  one('VMDK with grain tables of 16 GiB', CORRUPT, 'disk.vmdk', ({ images }) =>
    patched(images.vmdk!, [44, u32le(0xffff_ffff)]),
  ),
  one('VMDK text of 2 MiB', CORRUPT, 'disk.vmdk', () =>
    Buffer.concat([descriptor([]), Buffer.alloc(2 * MIB, '# x\n')]),
  ),
  one('VMDK text with 5000 extents', CORRUPT, 'disk.vmdk', () =>
    descriptor(Array.from({ length: 5000 }, (_, i) => `RW 1 FLAT "disk-f${i}.vmdk" 0`)),
  ),
  one('VMDK text with a sum of sizes over 2^63', CORRUPT, 'disk.vmdk', () =>
    descriptor(['RW 9007199254740991 FLAT "a-flat.vmdk" 0', 'RW 9007199254740991 FLAT "a-flat.vmdk" 0']),
  ),
  several('a raw file that is a hole of 2 GiB', 'converted', (directory) => {
    huge(join(directory, 'disk.raw'), rawDisk(MIB), 2048 * MIB);
  }),
  several('a raw file over the limit', ['flatten.too-large', 'fetch.bomb'], (directory) => {
    huge(join(directory, 'disk.raw'), rawDisk(MIB), 9 * 1024 * 1024 * MIB);
  }),
  one('VHD of 8 EiB', CORRUPT, 'disk.vhd', ({ images }) => vhdFooter(images.vhd!, [48, u64be(1n << 63n)])),
  one('VHD with a table of 16 GiB', [CORRUPT, 'converted', 'fetch.truncated'], 'disk.vhd', ({ images }) =>
    patched(images.vhd!, [512 + 28, u32be(0xffff_ffff)]),
  ),
  one('VHD that builds on another one', 'fetch.missing-parent', 'disk.vhd', ({ images }) =>
    vhdFooter(images.vhd!, [60, u32be(4)]),
  ),
  one('VHDX with a block size of zero', CORRUPT, 'disk.vhdx', ({ images }) =>
    // The item "file parameters" is the first behind the metadata table of 64 KiB.
    patched(images.vhdx!, [images.vhdx!.indexOf('metadata') + 64 * 1024, u32le(0)]),
  ),
  one('VDI with a map of 16 GiB', CORRUPT, 'disk.vdi', ({ images }) =>
    patched(images.vdi!, [384, u32le(0xffff_ffff)]),
  ),
  one('VDI whose blocks lie outside of it', [CORRUPT, 'fetch.truncated'], 'disk.vdi', ({ images }) =>
    patched(images.vdi!, [images.vdi!.readUInt32LE(340), u32le(0x7fff_ffff)]),
  ),
  several('a chain of 70 images', 'flatten.chain-too-deep', (directory) => {
    writeFileSync(join(directory, 'd0.raw'), rawDisk(MIB));
    for (let i = 1; i < 70; i += 1)
      qemuImg(
        [
          'create',
          '-f',
          'qcow2',
          '-u',
          '-F',
          i === 1 ? 'raw' : 'qcow2',
          '-b',
          i === 1 ? 'd0.raw' : `d${i - 1}.qcow2`,
          `d${i}.qcow2`,
          '1M',
        ],
        directory,
      );
  }),
  several(
    'a stream-optimized grain that unpacks to a gigabyte',
    ['tool.failed', CORRUPT, 'converted'],
    (directory, { images }) => {
      const image = Buffer.from(images['stream.vmdk']!);
      const bomb = execFileSync('sh', ['-c', 'head -c 67108864 /dev/zero | gzip -9 | tail -c +11']);
      // The first grain's marker: sector number, then the size of what follows.
      const at = Number(image.readBigUInt64LE(64)) * 512;
      bomb.subarray(0, Math.min(bomb.length, image.readUInt32LE(at + 8))).copy(image, at + 14);
      writeFileSync(join(directory, 'disk.vmdk'), image);
    },
  ),
];

/** A VHD's footer and its copy in front, with their checksums. */
function vhdFooter(image: Buffer, ...patches: readonly (readonly [number, Buffer])[]): Buffer {
  const bytes = Buffer.from(image);
  for (const at of [0, bytes.length - 512]) {
    for (const [offset, value] of patches) value.copy(bytes, at + offset);
    let sum = 0;
    for (let i = 0; i < 512; i += 1) if (i < 64 || i >= 68) sum += bytes[at + i]!;
    bytes.writeUInt32BE(~sum >>> 0, at + 64);
  }
  return bytes;
}

const BOMB = `head -c ${96 * MIB} /dev/zero | tr '\\0' A`;

/** Unpacked they would be a thousand times as large. */
const BOMBS: readonly HostileCase[] = [
  ...(
    [
      ['gz', 'gzip -9'],
      ['xz', 'xz -1'],
      ['zst', 'zstd -3 -q'],
    ] as const
  ).map(([suffix, tool]) =>
    several(`a bomb: disk.raw.${suffix}`, 'fetch.bomb', (directory) => {
      execFileSync('sh', ['-c', `${BOMB} | ${tool} > disk.raw.${suffix}`], { cwd: directory });
    }),
  ),
  several('a bomb in an OVA', 'fetch.bomb', (directory) => {
    execFileSync(
      'sh',
      ['-c', `${BOMB} | gzip -9 > disk.raw.gz && tar --format=ustar -cf x.ova disk.raw.gz && rm disk.raw.gz`],
      {
        cwd: directory,
      },
    );
  }),
  several('a compressed file that is cut', 'fetch.truncated', (directory) => {
    writeFileSync(join(directory, 'disk.raw'), rawDisk(4 * MIB, 0x33));
    execFileSync('gzip', ['-1', 'disk.raw'], { cwd: directory });
    truncateSync(join(directory, 'disk.raw.gz'), readFileSync(join(directory, 'disk.raw.gz')).length - 20);
  }),
  one(
    'a compressed file that is something else',
    ['fetch.corrupt', 'fetch.unknown-format', 'fetch.conflicting-format'],
    'disk.qcow2.xz',
    ({ images }) => images.qcow2!,
  ),
  several(
    'a compressed qcow2 that builds on the canary',
    'fetch.refused-reference',
    (directory, { canary }) => {
      qemuImg([
        'create',
        '-f',
        'qcow2',
        '-u',
        '-b',
        canary,
        '-F',
        'raw',
        join(directory, 'disk.qcow2'),
        '1M',
      ]);
      execFileSync('gzip', ['disk.qcow2'], { cwd: directory });
    },
  ),
];

export const FORMATS: readonly HostileCase[] = [...WRONG, ...SIZES, ...BOMBS];
