import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { sliceSource } from '../../../src/disk/base/bytes.js';
import type { ByteSource, DiskFormat } from '../../../src/disk/base/format.js';
import { indexTar } from '../../../src/disk/base/tar.js';
import { indexZip } from '../../../src/disk/base/zip.js';
import { parseVmcx } from '../../../src/disk/hyperv/configuration.js';
import { parseManifest } from '../../../src/disk/ovf/manifest.js';
import { parseOvf } from '../../../src/disk/ovf/ovf.js';
import { qcow2 } from '../../../src/disk/qcow2/index.js';
import { raw } from '../../../src/disk/raw.js';
import { readImageFile } from '../../../src/disk/read-image.js';
import { parseVagrant } from '../../../src/disk/vagrant.js';
import { vdi } from '../../../src/disk/vdi.js';
import { vhd } from '../../../src/disk/vhd/index.js';
import { vhdx } from '../../../src/disk/vhdx/index.js';
import { parseMachine } from '../../../src/disk/virtualbox/machine.js';
import { parseVbox } from '../../../src/disk/virtualbox/vbox.js';
import { parseProxmox } from '../../../src/disk/vma/configuration.js';
import { VmaReader } from '../../../src/disk/vma/reader.js';
import { vmaCompleteness } from '../../../src/disk/vma/whole.js';
import { vmdk } from '../../../src/disk/vmdk/index.js';
import { parseVmsd } from '../../../src/disk/vmsd.js';
import { parseVmx } from '../../../src/disk/vmx.js';
import { readXva, xvaCompleteness } from '../../../src/disk/xva/reader.js';
import { vdiDelta, vhdDelta } from './delta-images.js';
import { hyperVConfiguration, vhdAt, vmcx } from './hyperv-store.js';
import { descriptor, MIB, realImages, withFooter } from './images.js';
import { ovfText } from './ovf-text.js';
import { seSparse } from './sesparse-image.js';
import { vboxText } from './vbox-text.js';
import { vhdxImage } from './vhdx-image.js';
import { md5, vmaOf } from './vma-archive.js';
import { xvaOf } from './xva-archive.js';
import { zipOf } from './zip-archive.js';

interface Range {
  offset: number;
  length: number;
}

/** One parser to be fuzzed. */
export interface Subject {
  /** Real files that it accepts. */
  seeds: Buffer[];
  /** Where its headers and tables are: most changes go there. */
  hot(bytes: Buffer): Range[];
  /** Makes checksums right again, so that a change is not only seen as damage. */
  repair?(bytes: Buffer): void;
  parse(source: ByteSource): Promise<unknown>;
}

export async function makeSubjects(): Promise<Record<string, Subject>> {
  const images = await realImages({
    'a.vmdk': ['-O', 'vmdk'],
    'b.vmdk': ['-O', 'vmdk', '-o', 'subformat=streamOptimized'],
    'c.qcow2': ['-O', 'qcow2'],
    'd.qcow2': ['-O', 'qcow2', '-c'],
    'e.qcow2': ['-O', 'qcow2', '-o', 'compat=0.10,cluster_size=4096'],
    'f.qcow2': ['-O', 'qcow2', '-o', 'extended_l2=on,cluster_size=65536'],
    'g.vhd': ['-O', 'vpc'],
    'h.vhd': ['-O', 'vpc', '-o', 'subformat=fixed'],
    'i.vhdx': ['-O', 'vhdx'],
    'j.vdi': ['-O', 'vdi'],
  });
  const image = (name: string) => images[name]!;
  const text = descriptor(['RW 100 SPARSE "f-s001.vmdk"', 'RW 100 FLAT "f-f002.vmdk" 0'], {
    parentCID: '1',
    parentFileNameHint: '"p.vmdk"',
  });
  const delta = { offset: MIB + 512, content: Buffer.alloc(1024, 7) };
  const start = (length: number) => () => [{ offset: 0, length }];
  const bothEnds = (bytes: Buffer) => [
    { offset: 0, length: Math.min(2048, bytes.length) },
    { offset: Math.max(0, bytes.length - 1536), length: Math.min(1536, bytes.length) },
  ];
  return {
    vmdk: {
      seeds: [image('a.vmdk'), image('b.vmdk'), withFooter(image('b.vmdk'))],
      hot: bothEnds,
      parse: formatParser(vmdk),
    },
    cowd: { seeds: [cowd()], hot: start(64), parse: formatParser(vmdk) },
    sesparse: {
      seeds: [seSparse(MIB, [{ offset: 8192, content: Buffer.alloc(8192, 7) }])],
      hot: () => [
        { offset: 0, length: 544 },
        // The directory's first entry, and the first entries of its table.
        { offset: 16 * 512, length: 8 },
        { offset: 24 * 512, length: 64 },
      ],
      parse: formatParser(vmdk),
    },
    descriptor: { seeds: [text], hot: start(text.length), parse: formatParser(vmdk) },
    qcow2: {
      seeds: ['c.qcow2', 'd.qcow2', 'e.qcow2', 'f.qcow2'].map(image),
      hot: (bytes) => [
        { offset: 0, length: 256 },
        // L1 and the first L2 table where qemu-img puts them.
        {
          offset: Math.min(0x30000, bytes.length),
          length: Math.min(64, Math.max(0, bytes.length - 0x30000)),
        },
        {
          offset: Math.min(0x40000, bytes.length),
          length: Math.min(512, Math.max(0, bytes.length - 0x40000)),
        },
      ],
      parse: formatParser(qcow2),
    },
    vhd: {
      seeds: [
        image('g.vhd'),
        image('h.vhd'),
        vhdDelta(3 * MIB, [delta], { id: Buffer.alloc(16, 1), name: 'g.vhd' }, Buffer.alloc(16, 2)),
      ],
      hot: bothEnds,
      repair: repairVhd,
      parse: formatParser(vhd),
    },
    vhdx: {
      seeds: [
        image('i.vhdx'),
        vhdxImage({
          size: 3 * MIB,
          pieces: [delta],
          id: 'b'.repeat(32),
          parent: { id: 'a'.repeat(32), locator: { relative_path: '.\\i.vhdx' } },
        }),
      ],
      hot: (bytes) =>
        [0x10000, 0x20000, 0x30000, 0x200000, 0x210000, 0x300000, 0x304000]
          .filter((offset) => offset + 128 < bytes.length)
          .map((offset) => ({ offset, length: 128 })),
      parse: formatParser(vhdx),
    },
    vdi: {
      seeds: [
        image('j.vdi'),
        vdiDelta(image('j.vdi'), { id: Buffer.alloc(16, 2), parent: Buffer.alloc(16, 1), zeroBlocks: [1] }),
      ],
      hot: start(640),
      parse: formatParser(vdi),
    },
    raw: { seeds: [images.raw!, gpt()], hot: start(1536), parse: formatParser(raw) },
    tar: {
      seeds: await archives({ 'a.ovf': Buffer.from(ovfText(['a.vmdk'])), 'a.vmdk': image('b.vmdk') }),
      hot: (bytes) => [{ offset: 0, length: Math.min(4096, bytes.length) }],
      repair: repairTar,
      parse: async (source) => {
        for (const { name, offset, size, sparse } of await indexTar(source)) {
          for (const part of sparse?.parts ?? [])
            if (part.offset + part.length > source.size) throw new Error('a part outside of the archive');
          await readImageFile(name, sliceSource(source, offset, size), { anyRaw: false });
        }
      },
    },
    zip: {
      seeds: [zip(image('b.vmdk')), zip(image('b.vmdk'), true)],
      hot: (bytes) => [{ offset: Math.max(0, bytes.length - 512), length: Math.min(512, bytes.length) }],
      parse: async (source) => {
        for (const { offset, size } of await indexZip(source))
          if (offset + size > source.size) throw new Error('a member outside of the archive');
      },
    },
    ovf: textSubject(Buffer.from(ovfText(['a.vmdk', 'b.vmdk'])), (bytes) => parseOvf(bytes)),
    manifest: textSubject(
      Buffer.from(`SHA256(a.ovf)= ${'ab'.repeat(32)}\nSHA1(a.vmdk)= ${'cd'.repeat(20)}\n`),
      (bytes) => parseManifest(bytes),
    ),
    vmx: textSubject(
      Buffer.from(
        '.encoding = "UTF-8"\ndisplayName = "web |22x|22"\nmemsize = "1024"\nnumvcpus = "2"\nfirmware = "efi"\nscsi0:0.present = "TRUE"\nscsi0:0.fileName = "a.vmdk"\n' +
          'bios.hddOrder = "scsi0:1,scsi0:0"\nethernet0.present = "TRUE"\nethernet0.generatedAddress = "00:0c:29:aa:bb:cc"\n',
      ),
      (bytes) => parseVmx(bytes),
    ),
    vbox: textSubject(Buffer.from(vboxText()), (bytes) => {
      parseVbox(bytes);
      parseMachine(bytes);
    }),
    vmcx: {
      seeds: [vmcx(hyperVConfiguration({ disks: { ide0: [vhdAt('a.vhdx')], scsi0: [vhdAt('b.vhdx')] } }))],
      hot: (bytes) => [
        { offset: 0, length: 46 },
        { offset: 8192, length: 64 },
        { offset: 16_384, length: Math.max(0, Math.min(4096, bytes.length - 16_384)) },
      ],
      repair: repairVmcx,
      parse: async (source) => parseVmcx(await source.read(0, source.size)),
    },
    vma: {
      seeds: [
        vmaOf({ disks: [{ name: 'drive-scsi0', content: images.raw! }], configuration: 'scsi0: a:b\n' }),
      ],
      hot: (bytes) => [
        { offset: 0, length: 64 },
        { offset: 2044, length: 8 },
        { offset: 4128, length: 32 },
        // The texts, and the first extent.
        { offset: 12_288, length: Math.max(0, Math.min(1024, bytes.length - 12_288)) },
      ],
      repair: repairVma,
      parse: async (source) => {
        const sizes = new Map<string, number>();
        const reader = new VmaReader({
          onHeader: async ({ devices, files }) => {
            for (const { name, size } of devices) sizes.set(name, size);
            for (const { content } of files) parseProxmox(content, new Set());
          },
          onBlocks: async ({ name }, { length }, at) => {
            if (!(at + length <= sizes.get(name)!)) throw new Error(`a block at ${at} of ${name}`);
          },
        });
        await vmaCompleteness(source);
        await reader.take(await source.read(0, source.size));
        reader.end();
      },
    },
    xva: {
      seeds: [xvaOf({ disks: [{ ref: 'Ref:4', content: images.raw! }] })],
      hot: (bytes) => [{ offset: 0, length: Math.min(8192, bytes.length) }],
      repair: repairTar,
      parse: async (source) => {
        await xvaCompleteness(source);
        await readXva(source, {
          onDescription: async () => {},
          onBlock: async ({ size }, { length }, at) => {
            if (!(at + length <= size)) throw new Error(`a block at ${at}`);
          },
        });
      },
    },
    vagrant: textSubject(
      Buffer.from('{"provider":"libvirt","format":"qcow2","disks":[{"path":"a.img"}]}'),
      (bytes) => parseVagrant(bytes),
    ),
    vmsd: textSubject(
      Buffer.from(
        'snapshot.numSnapshots = "1"\nsnapshot0.numDisks = "1"\nsnapshot0.disk0.fileName = "a.vmdk"\n',
      ),
      (bytes) => parseVmsd(bytes),
    ),
  };
}

function formatParser(format: DiskFormat): Subject['parse'] {
  return async (source) => {
    if (!(await format.detect(await source.read(0, 4096), source))) return;
    const { image, check } = await format.parse(source);
    if (!(image.virtualSize > 0)) throw new Error(`a disk of ${image.virtualSize} bytes`);
    await check(source);
    const map = await format.map?.(source);
    for (let at = 0, runs = 0; map !== undefined && at < map.virtualSize && runs < MAX_RUNS; runs += 1) {
      const { end, from } = await map.runAt(at, map.virtualSize);
      if (!(end > at && end <= map.virtualSize)) throw new Error(`a run from ${at} to ${end}`);
      if (typeof from === 'number' && !(from >= 0)) throw new Error(`a run at ${from}`);
      at = end;
    }
  };
}

/** More than the seeds have. */
const MAX_RUNS = 2000;

function textSubject(seed: Buffer, parse: (bytes: Buffer) => unknown): Subject {
  return {
    seeds: [seed],
    hot: (bytes) => [{ offset: 0, length: bytes.length }],
    parse: async (source) => parse(await source.read(0, source.size)),
  };
}

/** An ESXi delta of 1 MiB: header, one directory entry, one table with one grain. */
function cowd(): Buffer {
  const bytes = Buffer.alloc(64 * 1024);
  bytes.write('COWD');
  for (const [offset, value] of [
    [4, 1],
    [8, 3],
    [12, 2048],
    [16, 128],
    [20, 4],
    [24, 1],
    [28, 64],
  ] as const)
    bytes.writeUInt32LE(value, offset);
  bytes.writeUInt32LE(8, 4 * 512);
  bytes.writeUInt32LE(40, 8 * 512);
  return bytes;
}

function gpt(): Buffer {
  const bytes = Buffer.alloc(256 * 1024);
  bytes[450] = 0xee;
  bytes.writeUInt32LE(1, 454);
  bytes.writeUInt32LE(511, 458);
  bytes.writeUInt16LE(0xaa55, 510);
  bytes.write('EFI PART', 512);
  bytes.writeBigUInt64LE(1n, 512 + 24);
  bytes.writeBigUInt64LE(511n, 512 + 32);
  return bytes;
}

async function archives(files: Record<string, Buffer>): Promise<Buffer[]> {
  const directory = await mkdtemp(join(tmpdir(), 'h2k-fuzz-'));
  try {
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(directory, name), bytes);
    // A hole at the end, for the form that leaves holes out.
    await truncate(join(directory, 'a.vmdk'), files['a.vmdk']!.length + 65_536);
    const seeds: Buffer[] = [];
    for (const form of [['--format=ustar'], ['--format=gnu'], ['--format=pax'], ['--format=oldgnu', '-S']]) {
      execFileSync('tar', [...form, '-cf', 'x.tar', ...Object.keys(files)], { cwd: directory });
      seeds.push(await readFile(join(directory, 'x.tar')));
    }
    return seeds;
  } finally {
    await rm(directory, { recursive: true });
  }
}

function repairVhd(bytes: Buffer): void {
  for (const at of [0, bytes.length - 512]) {
    if (at < 0 || at + 512 > bytes.length || bytes.toString('latin1', at, at + 8) !== 'conectix') continue;
    let sum = 0;
    for (let i = 0; i < 512; i += 1) if (i < 64 || i >= 68) sum += bytes[at + i]!;
    bytes.writeUInt32BE(~sum >>> 0, at + 64);
  }
}

function zip(disk: Buffer, is64 = false): Buffer {
  const description = { name: 'web01.ovf', content: Buffer.from(ovfText(['d.vmdk'])), is64 };
  return zipOf([description, { name: 'd.vmdk', content: disk, stored: true, is64 }], { is64 });
}

function repairVmcx(bytes: Buffer): void {
  for (const at of [0, 4096]) {
    if (at + 46 > bytes.length) continue;
    bytes.writeUInt32LE(0, at + 4);
    bytes.writeUInt32LE(crc32(bytes.subarray(at, at + 46)), at + 4);
  }
}

/** The header's and that of the first extent. */
function repairVma(bytes: Buffer): void {
  if (bytes.length < 64) return;
  const length = bytes.readUInt32BE(56);
  if (length < 64 || length + 512 > bytes.length) return;
  md5(bytes.subarray(0, length), 32);
  md5(bytes.subarray(length, length + 512), 24);
}

/** All headers that the members' own sizes lead to. */
function repairTar(bytes: Buffer): void {
  for (let at = 0, count = 0; at + 512 <= bytes.length && count < 16; count += 1) {
    const header = bytes.subarray(at, at + 512);
    if (header.every((byte) => byte === 0)) return;
    header.fill(0x20, 148, 156);
    let sum = 0;
    for (const byte of header) sum += byte;
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    const size = Number.parseInt(header.toString('latin1', 124, 135), 8);
    at += 512 + Math.ceil((Number.isNaN(size) ? 0 : size) / 512) * 512;
  }
}
