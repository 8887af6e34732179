import { execFileSync } from 'node:child_process';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { descriptor } from '../../unit/disk/images.js';
import {
  type HostileCase,
  type Lure,
  one,
  patched,
  qemuImg,
  rawDisk,
  several,
  u32be,
  u64be,
  u64le,
} from './corpus.js';

const REFUSED = 'fetch.refused-reference';
const SECTORS = 2048;

const extentLine = (reference: string) => descriptor([`RW ${SECTORS} FLAT "${reference}" 0`]);

/** CVE-2022-47951 and its relatives: a text descriptor names what is not in the drop. */
const EXTENTS: readonly [title: string, reference: (lure: Lure) => string][] = [
  ['an absolute path', ({ canary }) => canary],
  ['a relative path upwards', ({ canary }) => `../../../../../../../../../../..${canary}`],
  ['a path in a directory below', () => 'below/disk.raw'],
  ['a file: URL', ({ canary }) => `file:${canary}`],
  ['a json: block graph', ({ canary }) => `json:{\\"driver\\":\\"file\\",\\"filename\\":\\"${canary}\\"}`],
  ['an NBD server', ({ port }) => `nbd:127.0.0.1:${port}`],
  ['an NBD URL', ({ port }) => `nbd://127.0.0.1:${port}/x`],
  ['a web server', ({ port }) => `http://127.0.0.1:${port}/disk.raw`],
  ['an SSH server', ({ port }) => `ssh://root@127.0.0.1:${port}/etc/shadow`],
  ['a backslash path', ({ canary }) => canary.replaceAll('/', '\\')],
  ['the parent directory itself', () => '..'],
  ['an ESC sequence', () => '\u001b]0;x\u0007.raw'],
  ['a device', () => '/dev/zero'],
  ['its own environment', () => '/proc/self/environ'],
];

function qcow2Backing(lure: Lure, name: string, format = 'raw'): Buffer {
  const path = join(lure.canary, '..', `backing-${process.hrtime.bigint()}.qcow2`);
  qemuImg(['create', '-f', 'qcow2', '-u', '-b', name, '-F', format, path, '1M']);
  return readFileSync(path);
}

/** CVE-2024-32498, CVE-2024-4467, CVE-2024-40767. */
const BACKINGS: readonly [title: string, name: (lure: Lure) => string, expected?: string][] = [
  ['an absolute path', ({ canary }) => canary],
  ['a relative path upwards', ({ canary }) => `../../../../../../../../../../..${canary}`],
  [
    'a json: block graph',
    ({ canary }) => `json:{"driver":"raw","file":{"driver":"file","filename":"${canary}"}}`,
  ],
  [
    'a json: NBD server',
    ({ port }) => `json:{"driver":"nbd","server":{"type":"inet","host":"127.0.0.1","port":"${port}"}}`,
  ],
  ['an NBD server', ({ port }) => `nbd:127.0.0.1:${port}`],
  ['a web server', ({ port }) => `http://127.0.0.1:${port}/base.raw`],
  ['a directory as FAT, writable', () => 'fat:rw:/'],
  ['an inherited descriptor', () => 'fd:3'],
  ['a name that is nowhere', () => 'base.raw', 'fetch.missing-parent'],
];

export const REFERENCES: readonly HostileCase[] = [
  ...EXTENTS.map(([what, reference]) =>
    one(`VMDK extent: ${what}`, [REFUSED, 'fetch.corrupt'], 'disk.vmdk', (lure) =>
      extentLine(reference(lure)),
    ),
  ),
  one('VMDK: a raw device mapping', 'fetch.unsupported', 'disk.vmdk', ({ canary }) =>
    descriptor([`RW ${SECTORS} VMFSRDM "${canary}"`]),
  ),
  several('VMDK extent: a link to the canary', 'fetch.refused-special', (directory, { canary }) => {
    writeFileSync(join(directory, 'disk.vmdk'), extentLine('disk-flat.vmdk'));
    symlinkSync(canary, join(directory, 'disk-flat.vmdk'));
  }),
  several('VMDK extent: a FIFO', 'fetch.refused-special', (directory) => {
    writeFileSync(join(directory, 'disk.vmdk'), extentLine('disk-flat.vmdk'));
    execFileSync('mkfifo', [join(directory, 'disk-flat.vmdk')]);
  }),
  several('VMDK extent: the descriptor itself', 'fetch.corrupt', (directory) => {
    writeFileSync(join(directory, 'disk.vmdk'), extentLine('disk.vmdk'));
  }),
  several('VMDK extent: one file in two disks', 'fetch.corrupt', (directory) => {
    writeFileSync(join(directory, 'a.vmdk'), extentLine('x-flat.vmdk'));
    writeFileSync(join(directory, 'b.vmdk'), extentLine('x-flat.vmdk'));
    writeFileSync(join(directory, 'x-flat.vmdk'), Buffer.alloc(SECTORS * 512));
  }),
  several('VMDK parent hint: the canary', ['fetch.missing-parent', REFUSED], (directory, { canary }) => {
    writeFileSync(
      join(directory, 'disk.vmdk'),
      descriptor([`RW ${SECTORS} FLAT "d-flat.vmdk" 0`], {
        parentCID: '1',
        parentFileNameHint: `"${canary}"`,
      }),
    );
    writeFileSync(join(directory, 'd-flat.vmdk'), Buffer.alloc(SECTORS * 512));
  }),
  one('VMDK parent hint: an NBD server', REFUSED, 'disk.vmdk', ({ port, images }) =>
    embedded(images.vmdk!, { parentCID: '00000001', parentFileNameHint: `"nbd://127.0.0.1:${port}"` }),
  ),
  one(
    'VMDK parent hint behind the descriptor, where only QEMU looks',
    'fetch.corrupt',
    'disk.vmdk',
    ({ images, canary }) =>
      // The descriptor is cut to one sector; the text goes on behind it without a NUL in between.
      patched(
        images.vmdk!,
        [36, u64le(1n)],
        [512 + images.vmdk!.subarray(512).indexOf(0), '#'.repeat(512)],
        [1023, `\nparentFileNameHint="${canary}"\n\0`],
      ),
  ),
  one(
    'VMDK with a capacity of zero, which QEMU takes for a text',
    'fetch.corrupt',
    'disk.vmdk',
    ({ images, canary }) =>
      patched(images.vmdk!, [12, u64le(0n)], [512, `# Disk DescriptorFile\nRW 1 FLAT "${canary}" 0\n`]),
  ),
  one('VMDK: the embedded text lists the canary', 'fetch.corrupt', 'disk.vmdk', ({ images, canary }) =>
    embedded(images.vmdk!, {}, `RW ${SECTORS * 3} FLAT "${canary}" 0`),
  ),
  ...BACKINGS.map(([what, name, expected]) =>
    one(`qcow2 backing: ${what}`, expected ?? REFUSED, 'disk.qcow2', (lure) =>
      qcow2Backing(lure, name(lure)),
    ),
  ),
  one('qcow2 backing: itself', ['fetch.missing-parent', 'fetch.corrupt'], 'disk.qcow2', (lure) =>
    qcow2Backing(lure, 'disk.qcow2', 'qcow2'),
  ),
  several('qcow2 backing: two that build on each other', 'fetch.corrupt', (directory, lure) => {
    writeFileSync(join(directory, 'a.qcow2'), qcow2Backing(lure, 'b.qcow2', 'qcow2'));
    writeFileSync(join(directory, 'b.qcow2'), qcow2Backing(lure, 'a.qcow2', 'qcow2'));
  }),
  several(
    'qcow2 backing: “raw”, and the sibling is a qcow2 with a backing of its own',
    'fetch.conflicting-format',
    (directory, lure) => {
      writeFileSync(join(directory, 'a.qcow2'), qcow2Backing(lure, 'b.img'));
      writeFileSync(join(directory, 'b.img'), qcow2Backing(lure, lure.canary));
    },
  ),
  several('qcow2 backing: a sibling that is a link', 'fetch.refused-special', (directory, lure) => {
    writeFileSync(join(directory, 'a.qcow2'), qcow2Backing(lure, 'b.raw'));
    symlinkSync(lure.canary, join(directory, 'b.raw'));
  }),
  one('qcow2: external data file', 'fetch.unsupported', 'disk.qcow2', ({ images, canary }) => {
    const extension = Buffer.concat([
      u32be(0x44415441),
      u32be(canary.length),
      Buffer.from(canary),
      Buffer.alloc(16),
    ]);
    return patched(images.qcow2!, [72, u64be(4n)], [images.qcow2!.readUInt32BE(100), extension]);
  }),
  one(
    'qcow2: external data file by the extension alone',
    'fetch.unsupported',
    'disk.qcow2',
    ({ images, canary }) => {
      const extension = Buffer.concat([
        u32be(0x44415441),
        u32be(canary.length),
        Buffer.from(canary),
        Buffer.alloc(16),
      ]);
      return patched(images.qcow2!, [images.qcow2!.readUInt32BE(100), extension]);
    },
  ),
  one('qcow2: an unknown incompatible feature', 'fetch.unsupported', 'disk.qcow2', ({ images }) =>
    patched(images.qcow2!, [72, u64be(1n << 40n)]),
  ),
  several(
    'raw content with the header of a qcow2, in a flat extent',
    'converted',
    (directory, lure) => {
      writeFileSync(join(directory, 'disk.vmdk'), extentLine('disk-flat.vmdk'));
      writeFileSync(join(directory, 'disk-flat.vmdk'), disguised(lure));
    },
    { content: disguised },
  ),
];

/** A disk into whose first sectors the guest wrote a qcow2 that builds on the canary. */
function disguised(lure: Lure): Buffer {
  const disk = rawDisk(SECTORS * 512, 0x41);
  qcow2Backing(lure, lure.canary).subarray(0, 4096).copy(disk);
  return disk;
}

/** Replaces settings and the extent line in a sparse VMDK's own descriptor. */
function embedded(image: Buffer, settings: Record<string, string>, extent?: string): Buffer {
  const length = Number(image.readBigUInt64LE(36)) * 512;
  let text = image.toString('latin1', 512, 512 + length).replace(/\0.*$/s, '');
  for (const [key, value] of Object.entries(settings)) {
    text = text.replace(new RegExp(`^${key}=.*\n`, 'm'), '');
    text = text.replace('# Extent', `${key}=${value}\n# Extent`);
  }
  if (extent !== undefined) text = text.replace(/^RW .*$/m, extent);
  return patched(image, [512, Buffer.alloc(length)], [512, text]);
}
