import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import type { OpenSource } from '../../../../src/sources/base/source.js';
import { localSource } from '../../../../src/sources/local/local-source.js';
import { makeContext, makeJob } from '../../../integration/flatten-images.js';
import { descriptor, MIB, realImages } from '../../disk/images.js';
import { ovfText } from '../../disk/ovf-text.js';
import { zipOf } from '../../disk/zip-archive.js';

type Files = Record<string, Buffer | string>;

const SIZE = 3 * MIB;
let images: Record<string, Buffer>;
beforeAll(async () => {
  images = await realImages({
    sparse: ['-O', 'vmdk'],
    stream: ['-O', 'vmdk', '-o', 'subformat=streamOptimized'],
    qcow2: ['-O', 'qcow2'],
    vdi: ['-O', 'vdi'],
    vhdx: ['-O', 'vhdx'],
  });
});

const flat = (name: string, settings: Record<string, string> = {}) =>
  descriptor([`RW ${SIZE / 512} FLAT "${name}" 0`], settings);

/** How the local source opens the directory `web01/` with these files. */
async function openDirectory(
  files: Files,
  options: Parameters<typeof makeContext>[2] = {},
): Promise<OpenSource> {
  const job = await makeJob();
  for (const [name, content] of Object.entries(files)) {
    const path = join(job.source, 'web01', name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
  const drop = { directory: job.source, entries: ['web01'] };
  return localSource.open({ drop }, makeContext(job, drop.entries, options));
}

/** How it opens `web01.ova`, made of these members by tar and then packed by `pack`. */
async function openArchive(
  files: Files,
  pack = (tar: Buffer) => tar,
  members?: string[],
): Promise<OpenSource> {
  const job = await makeJob();
  const inside = join(job.work, 'inside');
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(inside, name)), { recursive: true });
    await writeFile(join(inside, name), content);
  }
  execFileSync('tar', ['--format=ustar', '-cf', '../x.tar', ...(members ?? Object.keys(files))], {
    cwd: inside,
  });
  await writeFile(join(job.source, 'web01.ova'), pack(await readFile(join(job.work, 'x.tar'))));
  const drop = { directory: job.source, entries: ['web01.ova'] };
  return localSource.open({ drop }, makeContext(job, drop.entries));
}

const names = ({ disks }: OpenSource) =>
  disks.map(({ chain }) => chain.layers.map(({ name }) => name).join());
const reasons = ({ passedOver }: OpenSource) =>
  Object.fromEntries(passedOver.map(({ path, reason }) => [path.replace(/^web01\//, ''), reason]));
const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');

describe('what lies beside the disks is passed over, and named', () => {
  test('an ESXi directory with change tracking, logs, memory and an ISO', async () => {
    const source = await openDirectory({
      'web01.vmx': 'scsi0:0.fileName = "web01.vmdk"\n',
      'web01.vmdk': flat('web01-flat.vmdk', { changeTrackPath: '"web01-ctk.vmdk"' }),
      'web01-flat.vmdk': images.raw!,
      'web01-ctk.vmdk': Buffer.concat([Buffer.from('0c0000000f000000', 'hex'), randomBytes(4096)]),
      'web01.nvram': Buffer.concat([Buffer.from('MRVN'), Buffer.alloc(8680)]),
      'web01-Snapshot1.vmsn': randomBytes(4096),
      'web01.vmsd': '.encoding = "UTF-8"\n',
      'vmware.log': 'log\n',
      'install.iso': Buffer.concat([Buffer.alloc(32_768), Buffer.from('\x01CD001\x01'), Buffer.alloc(4096)]),
      'old.vmdk': images.sparse!,
      'job.toml': '',
    });
    expect(names(source)).toEqual(['web01/web01.vmdk']);
    expect(reasons(source)).toEqual({
      'install.iso': 'not-a-disk',
      'old.vmdk': 'not-used',
      'vmware.log': 'not-a-disk',
      'web01-Snapshot1.vmsn': 'not-a-disk',
      'web01-ctk.vmdk': 'change-tracking',
      'web01.nvram': 'not-a-disk',
    });
  });

  test('what a Mac leaves in a directory and in an archive', async () => {
    const apple = Buffer.concat([Buffer.from('0005160700020000', 'hex'), Buffer.alloc(4000)]);
    const source = await openDirectory({
      '._web01.vmdk': apple,
      '._web01.vmx': apple,
      '.DS_Store': 'Bud1',
      '__MACOSX/web01.vmdk': apple,
      'web01.vmx': 'scsi0:0.fileName = "web01.vmdk"\n',
      'web01.vmdk': images.sparse!,
    });
    expect(names(source)).toEqual(['web01/web01.vmdk']);
    expect(Object.values(reasons(source))).toEqual(['hidden', 'hidden', 'hidden', 'hidden']);
    const archive = await openArchive({
      '._web01.ovf': apple,
      'web01.ovf': ovfText(['d.vmdk']),
      '._d.vmdk': apple,
      'd.vmdk': images.stream!,
    });
    expect(names(archive)).toEqual(['web01.ova/d.vmdk']);
    expect(reasons(archive)).toEqual({ 'web01.ova/._d.vmdk': 'hidden', 'web01.ova/._web01.ovf': 'hidden' });
  });
});

describe('names from other machines stand for the file of that name in the drop', () => {
  const vmx = (second: string) => `scsi0:0.fileName = "web01.vmdk"\nscsi0:1.fileName = "${second}"\n`;

  test.each([
    '/vmfs/volumes/5458b680-34ec3500/web01/web01_data.vmdk',
    'D:\\\\VMs\\\\web01\\\\web01_data.vmdk',
    '../web01/web01_data.vmdk',
    'WEB01_DATA.VMDK',
  ])('a disk at %s', async (path) => {
    const files = { 'web01.vmdk': images.sparse!, 'web01_data.vmdk': images.stream! };
    const source = await openDirectory({ ...files, 'web01.vmx': vmx(path.replaceAll('\\\\', '\\')) });
    expect(names(source)).toEqual(['web01/web01.vmdk', 'web01/web01_data.vmdk']);
  });

  test('an extent by its absolute path', async () => {
    const text = flat('/vmfs/volumes/5458b680/web01/web01-flat.vmdk');
    const { disks } = await openDirectory({ 'web01.vmdk': text, 'web01-flat.vmdk': images.raw! });
    expect(disks[0]?.chain.layers[0]?.extents).toMatchObject([{ bytes: { path: 'web01/web01-flat.vmdk' } }]);
  });

  test.each(['/etc/passwd', '../../../../etc/passwd', 'C:\\Windows\\system.ini'])(
    '%s is not in the drop, and is not looked for elsewhere',
    async (path) => {
      await expect(
        openDirectory({ 'web01.vmdk': images.sparse!, 'web01.vmx': vmx(path) }),
      ).rejects.toMatchObject({
        code: 'fetch.refused-reference',
        message: expect.stringContaining('which is not in the drop'),
      });
      await expect(openDirectory({ 'web01.vmdk': flat(path) })).rejects.toMatchObject({
        code: 'fetch.refused-reference',
      });
    },
  );

  test.each([
    ['windows-1252', 'latin1', 'Büroserver'],
    ['UTF-8', 'utf8', 'Büroserver'],
  ] as const)('a descriptor and a .vmx in %s', async (encoding, buffer, stem) => {
    const text = flat(`${stem}-flat.vmdk`, { encoding: `"${encoding}"` }).toString('utf8');
    const vmx = `.encoding = "${encoding}"\ndisplayName = "${stem}"\nscsi0:0.fileName = "${stem}.vmdk"\n`;
    const source = await openDirectory({
      [`${stem}.vmdk`]: Buffer.from(text, buffer),
      [`${stem}-flat.vmdk`]: images.raw!,
      'x.vmx': Buffer.from(vmx, buffer),
    });
    expect(names(source)).toEqual([`web01/${stem}.vmdk`]);
    expect(source.hardware.name).toBe(stem);
  });
});

describe('archives that people made again', () => {
  const files = () => ({ 'web01.ovf': ovfText(['d.vmdk']), 'd.vmdk': images.stream! });
  const manifest = () =>
    `SHA256(web01.ovf)= ${sha256(files()['web01.ovf'])}\nSHA256(d.vmdk)= ${sha256(images.stream!)}\n`;

  test.each([
    ['as it is', 'inner.ova', []],
    ['in gzip', 'inner.ova.gz', ['-z']],
  ])('an OVA %s in a tar', async (_, inner, flags) => {
    const job = await makeJob();
    for (const [name, content] of Object.entries(files())) await writeFile(join(job.work, name), content);
    const path = join(job.work, inner);
    execFileSync('tar', ['-c', ...flags, '-f', path, ...Object.keys(files())], { cwd: job.work });
    const source = await openArchive({ [inner]: await readFile(path), 'readme.txt': 'x' });
    expect(names(source)).toEqual(['web01.ova/inner.ova/d.vmdk']);
    expect(source.hardware.memory_mib).toBe(2048);
    expect(reasons(source)).not.toHaveProperty(inner);
  });

  test('archives in archives are opened twice at most', async () => {
    let inner: Buffer = images.stream!;
    const job = await makeJob();
    for (const name of ['d.vmdk', 'a.tar', 'b.tar']) {
      await writeFile(join(job.work, name), inner);
      execFileSync('tar', ['-cf', 'next', name], { cwd: job.work });
      inner = await readFile(join(job.work, 'next'));
    }
    await expect(openArchive({ 'c.tar': inner })).rejects.toMatchObject({ code: 'fetch.no-disk' });
  });

  test('`tar cf x.ova .`', async () => {
    const source = await openArchive({ ...files(), 'web01.mf': manifest() }, undefined, ['.']);
    expect(names(source)).toEqual(['web01.ova/d.vmdk']);
  });

  test('`tar cf x.ova web01`, with its manifest', async () => {
    const inFolder = (text: string) => ({
      'web01/web01.ovf': files()['web01.ovf'],
      'web01/d.vmdk': images.stream!,
      'web01/web01.mf': text,
    });
    expect(names(await openArchive(inFolder(manifest()), undefined, ['web01']))).toEqual([
      'web01.ova/web01/d.vmdk',
    ]);
    const wrong = manifest().replace(/[0-9a-f]{64}\n$/, `${'0'.repeat(64)}\n`);
    await expect(openArchive(inFolder(wrong), undefined, ['web01'])).rejects.toMatchObject({
      code: 'fetch.digest-mismatch',
    });
  });

  test('compressed as a whole under the name .ova', async () => {
    const source = await openArchive(files(), (tar) => gzipSync(tar));
    expect(names(source)).toEqual(['web01.ova/d.vmdk']);
    expect(source.disks[0]?.chain.layers[0]?.bytes).toMatchObject({ place: 'work', region: {} });
    const xz = await openArchive(files(), (tar) =>
      execFileSync('xz', ['-1c'], { input: tar, maxBuffer: 64 * MIB }),
    );
    expect(names(xz)).toEqual(['web01.ova/d.vmdk']);
  });

  test('a ZIP archive under the name .ova: stored members in place, the others unpacked', async () => {
    const zip = (change = (bytes: Buffer) => bytes) =>
      openArchive(files(), () =>
        change(
          zipOf([
            { name: 'web01/web01.ovf', content: Buffer.from(ovfText(['d.vmdk', 'e.vmdk'])) },
            { name: 'web01/d.vmdk', content: images.stream!, stored: true },
            { name: 'web01/e.vmdk', content: images.sparse! },
          ]),
        ),
      );
    const source = await zip();
    expect(names(source)).toEqual(['web01.ova/web01/d.vmdk', 'web01.ova/web01/e.vmdk']);
    expect(source.disks.map(({ chain }) => chain.layers[0]?.bytes.place)).toEqual(['drop', 'work']);
    const wrong = zip((bytes) => {
      const at = bytes.lastIndexOf('PK\x01\x02');
      bytes.writeUInt32LE(1, at + 16);
      return bytes;
    });
    await expect(wrong).rejects.toMatchObject({
      code: 'fetch.corrupt',
      message: expect.stringContaining('e.vmdk'),
    });
  });

  test('a disk that is compressed under its own name', async () => {
    const packed = { 'web01.ovf': ovfText(['d.vmdk']).replace('<File ', '<File ovf:compression="gzip" ') };
    const source = await openArchive({ ...packed, 'd.vmdk': gzipSync(images.stream!) });
    expect(names(source)).toEqual(['web01.ova/d.vmdk']);
    expect(source.disks[0]?.chain.layers[0]?.virtual_size).toBe(SIZE);
  });

  test('the only piece of a disk that is numbered is read in place', async () => {
    const numbered = { 'web01.ovf': files()['web01.ovf'], 'd.vmdk.000000000': images.stream! };
    const source = await openArchive(numbered);
    expect(names(source)).toEqual(['web01.ova/d.vmdk']);
    expect(source.disks[0]?.chain.layers[0]?.bytes).toMatchObject({ place: 'drop' });
  });

  describe('a disk in pieces (chunkSize)', () => {
    const pieces = (disk: Buffer, chunk = Math.ceil(disk.length / 3)) =>
      Object.fromEntries(
        Array.from({ length: Math.ceil(disk.length / chunk) }, (_, number) => [
          `d.vmdk.${String(number).padStart(9, '0')}`,
          disk.subarray(number * chunk, (number + 1) * chunk),
        ]),
      );
    const ovf = () =>
      ovfText(['d.vmdk']).replace(
        'ovf:size="1"',
        `ovf:chunkSize="${Math.ceil(images.stream!.length / 3)}" ovf:size="${images.stream!.length}"`,
      );

    test('is put together in the order of its numbers, in an archive and in a directory', async () => {
      const chunks = pieces(images.stream!);
      const reversed = Object.fromEntries(Object.entries(chunks).reverse());
      const drop = { ...reversed, 'web01.ovf': ovf() };
      const job = await makeJob();
      for (const [name, content] of Object.entries(drop)) {
        await mkdir(join(job.source, 'web01'), { recursive: true });
        await writeFile(join(job.source, 'web01', name), content);
      }
      const place = { directory: job.source, entries: ['web01'] };
      const source = await localSource.open({ drop: place }, makeContext(job, place.entries));
      expect(names(source)).toEqual(['web01/d.vmdk']);
      const [layer] = source.disks[0]!.chain.layers;
      expect(layer?.bytes).toMatchObject({ place: 'work' });
      expect((await readFile(join(job.work, layer!.bytes.path))).equals(images.stream!)).toBe(true);
      expect(names(await openArchive(drop))).toEqual(['web01.ova/d.vmdk']);
    });

    test('is checked by the manifest, piece by piece', async () => {
      const chunks = pieces(images.stream!);
      const lines = Object.entries(chunks).map(([name, bytes]) => `SHA256(${name})= ${sha256(bytes)}\n`);
      const drop = { ...chunks, 'web01.ovf': ovf() };
      expect(names(await openArchive({ ...drop, 'web01.mf': lines.join('') }))).toHaveLength(1);
      const wrong = lines.join('').replace(/[0-9a-f]{64}\n$/, `${'0'.repeat(64)}\n`);
      await expect(openArchive({ ...drop, 'web01.mf': wrong })).rejects.toMatchObject({
        code: 'fetch.digest-mismatch',
        message: expect.stringContaining('d.vmdk.000000002'),
      });
    });

    test.each([
      ['without one in the middle', 'd.vmdk.000000001', null, 'fetch.missing-extent'],
      ['without the first', 'd.vmdk.000000000', null, 'fetch.missing-extent'],
      ['without the last', 'd.vmdk.000000002', null, 'fetch.truncated'],
      ['with a short one', 'd.vmdk.000000001', 100, 'fetch.truncated'],
    ])('%s is refused', async (_, name, size, code) => {
      const { [name]: piece, ...others } = pieces(images.stream!);
      const drop = { ...others, ...(size === null ? {} : { [name]: piece!.subarray(0, size) }) };
      await expect(openArchive({ ...drop, 'web01.ovf': ovf() })).rejects.toMatchObject({ code });
    });
  });

  test.each([
    ['a web page', Buffer.from('<!DOCTYPE html><html>Please log in</html>'), 'web page'],
    ['a 7-Zip archive', Buffer.from("7z\xbc\xaf'\x1c rest", 'latin1'), '7-Zip'],
    ['a QED image', Buffer.concat([Buffer.from('QED\0'), Buffer.alloc(600)]), 'QED'],
    ['an ISO image', Buffer.concat([Buffer.alloc(32_769), Buffer.from('CD001'), Buffer.alloc(900)]), 'ISO'],
  ])('%s under the name of an archive, a disk or its own is called what it is', async (_, bytes, what) => {
    const message = expect.stringContaining(what);
    await expect(openArchive({ a: '' }, () => bytes)).rejects.toMatchObject({
      code: 'fetch.unknown-format',
      message,
    });
    await expect(openDirectory({ 'web01.img': bytes })).rejects.toMatchObject({ message });
    await expect(openDirectory({ 'web01.bin': bytes })).rejects.toMatchObject({
      code: 'fetch.no-disk',
      message,
    });
  });

  test('a disk of a .vmx that was cut is named as such, too', async () => {
    const vmx = 'scsi0:0.fileName = "web01.vmdk"\n';
    const [head, rest] = [images.sparse!.subarray(0, 1024), images.sparse!.subarray(1024)];
    await expect(
      openDirectory({ 'web01.vmx': vmx, 'web01.vmdk.001': head, 'web01.vmdk.002': rest }),
    ).rejects.toMatchObject({ code: 'fetch.split-file' });
  });

  test('a disk that was cut by split(1) or 7-Zip is named as such', async () => {
    const half = images.qcow2!.length / 2;
    for (const endings of [
      ['aa', 'ab'],
      ['001', '002'],
      ['partaa', 'partab'],
    ])
      await expect(
        openDirectory({
          [`web01.qcow2.${endings[0]}`]: images.qcow2!.subarray(0, half),
          [`web01.qcow2.${endings[1]}`]: images.qcow2!.subarray(half),
        }),
      ).rejects.toMatchObject({ code: 'fetch.split-file', message: expect.stringContaining('web01.qcow2 ') });
  });

  test.each([
    ['a line that is no digest', `${''}garbage line\n`, 1],
    ['a comment', '# made by backup.sh\n', 0],
    ['a file that is not there', `SHA256(web01-file1.iso)= ${'0'.repeat(64)}\n`, 0],
  ])('a manifest with %s', async (_what, line, warnings) => {
    const source = await openArchive({ ...files(), 'web01.mf': manifest() + line });
    expect(source.warnings.map(({ code }) => code)).toEqual(
      Array.from({ length: warnings }, () => 'fetch.manifest-unread'),
    );
  });

  test('a manifest for each disk: all of them count', async () => {
    const [first, second] = manifest().split(/(?<=\n)/) as [string, string];
    expect(names(await openArchive({ ...files(), 'web01.mf': first, 'd.mf': second }))).toEqual([
      'web01.ova/d.vmdk',
    ]);
    const wrong = second.replace(/[0-9a-f]{64}/, '0'.repeat(64));
    await expect(openArchive({ ...files(), 'web01.mf': first, 'd.mf': wrong })).rejects.toMatchObject({
      code: 'fetch.digest-mismatch',
    });
  });

  test('a name that is escaped as in a URI', async () => {
    const source = await openArchive({
      'web01.ovf': ovfText(['web%2001.vmdk']),
      'web 01.vmdk': images.stream!,
    });
    expect(names(source)).toEqual(['web01.ova/web 01.vmdk']);
  });
});

describe('folders', () => {
  test('Hyper-V’s export', async () => {
    const source = await openDirectory({
      'Virtual Hard Disks/web01.vhdx': images.vhdx!,
      'Virtual Machines/6F0A.vmcx': Buffer.alloc(4096),
      'Virtual Machines/6F0A.vmgs': Buffer.alloc(4096),
    });
    expect(names(source)).toEqual(['web01/Virtual Hard Disks/web01.vhdx']);
  });

  test('a VHDX with sectors of 4096 bytes, which QEMU does not read, is copied out', async () => {
    const disk = Buffer.from(images.vhdx!);
    const item = disk.indexOf(Buffer.from('1dbf41816fa90947ba47f233a8faab5f', 'hex'));
    const metadata = disk.lastIndexOf('metadata', item);
    const at = metadata + disk.readUInt32LE(item + 16);
    expect(disk.readUInt32LE(at)).toBe(512);
    disk.writeUInt32LE(4096, at);
    const job = await makeJob();
    await writeFile(join(job.source, 'web01.vhdx'), disk);
    const drop = { directory: job.source, entries: ['web01.vhdx'] };
    const source = await localSource.open({ drop }, makeContext(job, drop.entries));
    const layer = source.disks[0]!.chain.layers[0]!;
    expect(layer).toMatchObject({ format: 'raw', bytes: { place: 'work' } });
    expect((await readFile(join(job.work, layer.bytes.path))).equals(images.raw!)).toBe(true);
  });

  test('an OVF whose disks are in a folder', async () => {
    const source = await openDirectory({
      'web01.ovf': ovfText(['disks/d.vmdk']),
      'disks/d.vmdk': images.stream!,
    });
    expect(names(source)).toEqual(['web01/disks/d.vmdk']);
  });

  test('VirtualBox’ snapshots of another disk: an old state is not converted', async () => {
    const delta = Buffer.from(images.vdi!);
    delta.writeUInt32LE(4, 76);
    await expect(
      openDirectory({ 'web01.vdi': images.vdi!, 'web01.vbox': '<xml/>', 'Snapshots/{3f1f}.vdi': delta }),
    ).rejects.toMatchObject({ code: 'fetch.missing-parent', message: expect.stringContaining('{3f1f}.vdi') });
  });

  test('VirtualBox’ machine file tells that the disk is frozen, without the snapshots too', async () => {
    const disk = (location: string, inside = '') =>
      `<HardDisk uuid="{1}" location="${location}" format="VDI">${inside}</HardDisk>`;
    const vbox = (disks: string) =>
      `<?xml version="1.0"?><VirtualBox><Machine name="web01"><MediaRegistry><HardDisks>${disks}</HardDisks></MediaRegistry></Machine></VirtualBox>`;
    const several = disk('web01.vdi', disk('Snapshots/{a}.vdi', disk('Snapshots/{b}.vdi')));
    for (const frozen of [disk('D:\\VMs\\web01.vdi', disk('Snapshots/{a}.vdi')), several])
      await expect(
        openDirectory({ 'web01.vdi': images.vdi!, 'web01.vbox': vbox(frozen) }),
      ).rejects.toMatchObject({ code: 'fetch.missing-delta', message: expect.stringContaining('web01.vdi') });
    const whole = await openDirectory({ 'web01.vdi': images.vdi!, 'web01.vbox': vbox(disk('web01.vdi')) });
    expect(names(whole)).toEqual(['web01/web01.vdi']);
  });

  test('a VHDX with sectors of 4096 bytes is copied out, compressed or not', async () => {
    const vhdx = Buffer.from(images.vhdx!);
    const metadata = Buffer.from('06a27c8b90479a4bb8fe575f050f886e', 'hex');
    const logicalSectorSize = Buffer.from('1dbf41816fa90947ba47f233a8faab5f', 'hex');
    const region = Number(vhdx.readBigUInt64LE(vhdx.indexOf(metadata, 192 * 1024) + 16));
    const item = vhdx.indexOf(logicalSectorSize, region);
    vhdx.writeUInt32LE(4096, region + vhdx.readUInt32LE(item + 16));
    for (const drop of [{ 'a.vhdx': vhdx }, { 'a.vhdx.gz': gzipSync(vhdx) }]) {
      const { disks } = await openDirectory(drop);
      const [layer, ...others] = disks[0]!.chain.layers;
      expect(layer).toMatchObject({ format: 'raw', virtual_size: SIZE, bytes: { place: 'work' } });
      expect(layer).toMatchObject({ sector_size: 4096 });
      expect(others).toEqual([]);
    }
  });

  test('a machine file that cannot be read is named', async () => {
    await expect(openDirectory({ 'web01.vdi': images.vdi!, 'web01.vbox': '<xml' })).rejects.toMatchObject({
      code: 'fetch.corrupt',
      message: expect.stringContaining('web01.vbox'),
    });
  });

  test('a suspended VM: its disk is taken, and that its memory is lost is said', async () => {
    const source = await openDirectory({
      'web01.vmx': 'scsi0:0.fileName = "web01.vmdk"\ncheckpoint.vmState = "web01.vmss"\n',
      'web01.vmdk': images.sparse!,
      'web01.vmss': randomBytes(4096),
      'web01.vmem': randomBytes(4096),
    });
    expect(names(source)).toEqual(['web01/web01.vmdk']);
    expect(source.warnings).toMatchObject([
      { code: 'fetch.suspended', message: expect.stringContaining('web01.vmss') },
    ]);
  });

  test.each([
    'web01.raw.aria2',
    'web01.raw.st',
    'web01.raw.lftp-pget-status',
    'web01.raw-lftp-pget-status',
    'web01.raw.part',
    'web01.raw.!ut',
    'web01.raw.!qB',
    'other.qcow2.crdownload',
  ])('beside %s a disk is not whole', async (state) => {
    await expect(openDirectory({ 'web01.raw': images.raw!, [state]: 'x' })).rejects.toMatchObject({
      code: 'fetch.unfinished',
      message: expect.stringContaining(state),
    });
  });

  test('partial files of what is no disk do not matter', async () => {
    const source = await openDirectory({
      'web01.vmdk': images.sparse!,
      'web01.vmx': 'scsi0:0.fileName = "web01.vmdk"\n',
      'notes.tmp': 'x',
      'a.st': 'x',
      // Whether the file itself is there or not.
      'vmware.log': 'x',
      'vmware.log.tmp': 'x',
      'vmware-1.log.part': 'x',
      'web01.nvram': 'x',
      'web01.nvram.tmp': 'x',
      'web01.vmx.tmp': 'x',
      'manual.pdf': 'x',
      'manual.pdf.crdownload': 'x',
    });
    expect(names(source)).toEqual(['web01/web01.vmdk']);
  });

  test('a description that has not arrived is missed', async () => {
    const files = { 'web01.vmdk': images.sparse!, 'web01.vmx.part': 'x' };
    await expect(openDirectory(files)).rejects.toMatchObject({ code: 'fetch.unfinished' });
  });

  test('a partial file beside an extent matters, whatever the extent’s name is', async () => {
    const files = { 'web01.vmdk': flat('data.bin'), 'data.bin': images.raw!, 'data.bin.part': 'x' };
    await expect(openDirectory(files)).rejects.toMatchObject({ code: 'fetch.unfinished' });
  });

  test('a backup below the VM’s own folder is not the VM, whatever is wrong with it', async () => {
    const source = await openDirectory({
      'web01.vmdk': images.sparse!,
      'backup/web01.vmdk': images.sparse!,
      'backup/other.vmdk': flat('other-flat.vmdk'),
      'backup/broken.vmdk': images.sparse!.subarray(0, 300),
      'backup/web01.vmx': 'scsi0:0.fileName = "other.vmdk"\n',
      'web01.vmx': 'scsi0:0.fileName = "web01.vmdk"\n',
    });
    expect(names(source)).toEqual(['web01/web01.vmdk']);
    expect(reasons(source)).toMatchObject({
      'backup/web01.vmdk': 'not-used',
      'backup/broken.vmdk': 'not-used',
    });
    const alone = await openDirectory({ 'web01.vmdk': images.sparse!, 'backup/web01.vmdk': images.sparse! });
    expect(names(alone)).toEqual(['web01/web01.vmdk']);
  });

  test('deltas in a folder of their own are the newest state', async () => {
    const base = flat('web01-flat.vmdk', { CID: '1' });
    const delta = flat('web01-000001-flat.vmdk', {
      CID: '2',
      parentCID: '1',
      parentFileNameHint: '"../web01.vmdk"',
    });
    const source = await openDirectory({
      'web01.vmdk': base,
      'web01-flat.vmdk': images.raw!,
      'deltas/web01-000001.vmdk': delta,
      'deltas/web01-000001-flat.vmdk': images.raw!,
    });
    expect(names(source)).toEqual(['web01/deltas/web01-000001.vmdk,web01/web01.vmdk']);
  });
});

describe('descriptions', () => {
  const twoDisks = () =>
    ovfText(['a.vmdk', 'b.vmdk']).replace(
      'ovf:capacity="1" ovf:diskId="vmdisk1" ovf:fileRef="file1"',
      'ovf:capacity="5" ovf:capacityAllocationUnits="byte * 2^20" ovf:diskId="vmdisk1" ovf:fileRef=""',
    );

  test('an empty disk is made', async () => {
    const { disks } = await openDirectory({ 'web01.ovf': twoDisks(), 'a.vmdk': images.stream! });
    expect(disks.map(({ controller, chain }) => [controller, chain.layers[0]?.virtual_size])).toEqual([
      ['scsi0:0', SIZE],
      ['scsi0:1', 5 * MIB],
    ]);
    expect(disks[1]?.chain.layers[0]).toMatchObject({
      format: 'raw',
      allocated: 0,
      used_bytes: 0,
      bytes: { place: 'work', path: 'empty/disk1.raw' },
    });
  });

  test('nothing but empty disks is no VM', async () => {
    const text = twoDisks()
      .replace('ovf:fileRef="file0"', 'ovf:fileRef=""')
      .replace('ovf:capacity="1"', 'ovf:capacity="512"');
    await expect(openDirectory({ 'web01.ovf': text })).rejects.toMatchObject({
      code: 'fetch.unknown-format',
    });
    expect((await openDirectory({ 'web01.ovf': text }, { kind: 'data' })).disks).toHaveLength(2);
  });

  test('[vm] configuration chooses', async () => {
    const text = ovfText(['a.vmdk']).replace(
      '<VirtualSystem ',
      '<DeploymentOptionSection><Configuration ovf:id="s"/><Configuration ovf:id="l"/></DeploymentOptionSection><VirtualSystem ',
    );
    const large = text.replace(
      /(<Item>)(<rasd:AllocationUnits>.*?>)2048(<.*?<\/Item>)/,
      '$1$22048$3<Item ovf:configuration="l">$24096$3',
    );
    const files = { 'web01.ovf': large, 'a.vmdk': images.stream! };
    expect((await openDirectory(files)).hardware.memory_mib).toBe(2048);
    expect((await openDirectory(files, { vm: { configuration: 'l' } })).hardware.memory_mib).toBe(4096);
  });

  test('a unit that is not known is warned of', async () => {
    const text = ovfText(['a.vmdk']).replace('byte * 2^20', 'Pages');
    const { hardware, warnings } = await openDirectory({ 'web01.ovf': text, 'a.vmdk': images.stream! });
    expect(hardware.memory_mib).toBeNull();
    expect(warnings).toMatchObject([{ code: 'fetch.description-unread' }]);
  });

  test('oVirt’s files have no ending: the description says what they are, and the content must agree', async () => {
    const ovf = (format: string) => ovfText(['d1']).replace('<Disk ', `<Disk ovf:volume-format="${format}" `);
    const { disks } = await openDirectory({ 'web01.ovf': ovf('COW'), d1: images.qcow2! });
    expect(disks[0]?.chain.layers[0]).toMatchObject({ name: 'web01/d1', format: 'qcow2' });
    expect((await openDirectory({ 'web01.ovf': ovf('RAW'), d1: images.raw! })).disks).toHaveLength(1);
    await expect(openDirectory({ 'web01.ovf': ovf('RAW'), d1: images.qcow2! })).rejects.toMatchObject({
      code: 'fetch.conflicting-format',
    });
  });
});
