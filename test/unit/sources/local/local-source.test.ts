import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { link, mkdir, readdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import type { StageContext } from '../../../../src/engine/stage.js';
import { Hyper2kvmError } from '../../../../src/errors/error.js';
import { fetchStage } from '../../../../src/stages/fetch/index.js';
import { makeContext, makeJob } from '../../../integration/flatten-images.js';
import { descriptor, MIB, realImages, withFooter } from '../../disk/images.js';

let images: Record<string, Buffer>;
beforeAll(async () => {
  images = await realImages({
    vmdk: ['-O', 'vmdk'],
    stream: ['-O', 'vmdk', '-o', 'subformat=streamOptimized'],
    qcow2: ['-O', 'qcow2'],
  });
});

const FLAT = 3 * MIB;
const flatLine = (name: string) => `RW ${FLAT / 512} FLAT "${name}" 0`;
const delta = (parent: string, parentCID: string, CID = 'aaaa0001') =>
  descriptor([flatLine(`${CID}-flat.vmdk`)], { CID, parentCID, parentFileNameHint: `"${parent}"` });

async function fetchOf(
  files: Record<string, Buffer | string>,
  options: Parameters<typeof makeContext>[2] = {},
  entries?: string[],
) {
  const job = await makeJob();
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(job.source, name, '..'), { recursive: true });
    await writeFile(join(job.source, name), content);
  }
  return openDrop(makeContext(job, entries ?? Object.keys(files), options));
}

/** Through FETCH. The disks' newest layers, and the names in the work directory that were made. */
async function openDrop(context: StageContext) {
  const output = fetchStage.output.parse(await fetchStage.run(context, {}));
  const disks = output.disks.map(({ chain, ...disk }) => {
    const { name, format } = chain.layers[0]!;
    return { ...disk, leaf: name, format };
  });
  return { ...output, disks, made: fetchStage.files?.(output) };
}

describe('what the disks are', () => {
  test('one image', async () => {
    expect(await fetchOf({ 'web01.qcow2': images.qcow2! })).toEqual({
      files: [{ path: 'web01.qcow2', size: images.qcow2!.length }],
      disks: [{ index: 0, leaf: 'web01.qcow2', format: 'qcow2', controller: null }],
      hardware: { name: null, memory_mib: null, vcpus: null, firmware: null, nics: [], os_hint: null },
      made: [],
      passed_over: [],
      warnings: [],
    });
  });

  test('a disk that a snapshot froze is no newest state', async () => {
    const vmsd =
      'snapshot.numSnapshots = "1"\nsnapshot0.disk0.fileName = "/vmfs/volumes/1/web01/web01.vmdk"\n';
    const base = { 'web01.vmdk': images.vmdk!, 'web01.vmsd': vmsd };
    await expect(fetchOf(base)).rejects.toMatchObject({ code: 'fetch.missing-delta' });
    const went = 'scsi0:0.present = "TRUE"\nscsi0:0.fileName = "web01.vmdk"\n';
    expect((await fetchOf({ ...base, 'web01.vmx': went })).disks[0]?.leaf).toBe('web01.vmdk');
    const none = vmsd.replace('"1"', '"0"');
    expect((await fetchOf({ ...base, 'web01.vmsd': none })).disks[0]?.leaf).toBe('web01.vmdk');
  });

  test('a disk that is there twice, compressed and not', async () => {
    const both = { 'a.qcow2': images.qcow2!, 'a.qcow2.gz': gzipSync(images.qcow2!) };
    await expect(fetchOf(both)).rejects.toMatchObject({ code: 'fetch.corrupt' });
    const { disks, made } = await fetchOf({ 'a.qcow2.gz': gzipSync(images.qcow2!) });
    expect(disks).toEqual([{ index: 0, leaf: 'a.qcow2', format: 'qcow2', controller: null }]);
    expect(made).toEqual([expect.stringMatching(/^unpacked\/[0-9a-f]{32}$/)]);
  });

  test('a compressed disk asks for room while it is unpacked, and leaves nothing where there is none', async () => {
    const block = Buffer.concat([randomBytes(128), Buffer.alloc(4096 - 128, 'x')]);
    const member = gzipSync(Buffer.alloc(10 * MIB, block), { level: 1 });
    const packed = Buffer.concat(Array.from({ length: 14 }, () => member));
    const job = await makeJob();
    await writeFile(join(job.source, 'a.raw.gz'), packed);
    const context = makeContext(job, ['a.raw.gz'], { kind: 'data' });
    const asked: [bytes: number, written: number][] = [];
    const reserve: typeof context.reserve = async (bytes, { written = 0 } = {}) => {
      asked.push([Math.floor(bytes / MIB), Math.floor(written / MIB)]);
      if (bytes > 200 * MIB) throw new Hyper2kvmError('host.no-space', 'as the test wants it');
    };
    await expect(fetchStage.run({ ...context, reserve }, {})).rejects.toMatchObject({
      code: 'host.no-space',
    });
    // Twice what is unpacked: it is read into an output of the same size.
    expect(asked).toHaveLength(2);
    expect(asked[0]?.[0]).toBeGreaterThanOrEqual(2 * 64);
    expect(asked[1]?.[0]).toBeGreaterThanOrEqual(2 * 128);
    expect(asked[1]?.[1]).toBeGreaterThanOrEqual(63);
    expect(await readdir(job.work)).toEqual(['source']);
  });

  test('a directory with several disks: by the numbers in their names', async () => {
    const { disks } = await fetchOf(
      { 'vm/disk10.img': images.raw!, 'vm/disk2.qcow2': images.qcow2!, 'vm/job.toml': '' },
      {},
      ['vm'],
    );
    expect(disks.map(({ leaf }) => leaf)).toEqual(['vm/disk2.qcow2', 'vm/disk10.img']);
  });

  test('a job.toml beside a directory is no part of the VM', async () => {
    const { disks } = await fetchOf({ 'vm/a.qcow2': images.qcow2!, 'vm.job.toml': '' }, {}, [
      'vm',
      'vm.job.toml',
    ]);
    expect(disks.map(({ leaf }) => leaf)).toEqual(['vm/a.qcow2']);
  });

  test('a stream whose directory is in the footer', async () => {
    const { disks } = await fetchOf({ 'a.vmdk': withFooter(images.stream!) });
    expect(disks).toHaveLength(1);
  });

  test('an empty data disk beside a real one', async () => {
    const { disks } = await fetchOf({ 'a.qcow2': images.qcow2!, 'data.img': Buffer.alloc(MIB) });
    expect(disks).toHaveLength(2);
  });

  test('kind = "data": any bytes named as raw', async () => {
    const { disks } = await fetchOf({ 'data.img': Buffer.alloc(MIB, 0x77) }, { kind: 'data' });
    expect(disks).toEqual([{ index: 0, leaf: 'data.img', format: 'raw', controller: null }]);
  });
});

describe('the .vmx', () => {
  const vmx = [
    '.encoding = "UTF-8"',
    'displayName = "web |2201|22"',
    'memSize = "2048"',
    'numvcpus = "4"',
    'firmware = "efi"',
    'guestOS = "debian12-64"',
    'scsi0:1.present = "TRUE"',
    'scsi0:1.fileName = "b.img"',
    'scsi0:0.present = "TRUE"',
    'scsi0:0.fileName = "z.qcow2"',
    'ide0:0.present = "TRUE"',
    'ide0:0.deviceType = "cdrom-image"',
    'ide0:0.fileName = "/usr/lib/vmware/linux.iso"',
    'sata0:0.present = "FALSE"',
    'sata0:0.fileName = "gone.vmdk"',
    'ethernet0.present = "TRUE"',
    'ethernet0.virtualDev = "vmxnet3"',
    'ethernet0.networkName = "VM Network"',
    'ethernet0.addressType = "generated"',
    'ethernet0.generatedAddress = "00:0C:29:AA:BB:CC"',
    'ethernet0.pciSlotNumber = "192"',
  ].join('\n');

  test('gives the order of the disks and the hardware', async () => {
    expect(
      await fetchOf({ 'vm/a.vmx': vmx, 'vm/b.img': images.raw!, 'vm/z.qcow2': images.qcow2! }, {}, ['vm']),
    ).toMatchObject({
      disks: [
        { index: 0, leaf: 'vm/z.qcow2', controller: 'scsi0:0' },
        { index: 1, leaf: 'vm/b.img', controller: 'scsi0:1' },
      ],
      hardware: {
        name: 'web "01"',
        memory_mib: 2048,
        vcpus: 4,
        firmware: 'uefi',
        os_hint: 'debian12-64',
        nics: [{ mac: '00:0c:29:aa:bb:cc', network: 'VM Network', model: 'vmxnet3', pci_slot: 192 }],
      },
    });
  });

  test('job.toml counts more', async () => {
    const { hardware } = await fetchOf(
      { 'a.vmx': vmx, 'b.img': images.raw!, 'z.qcow2': images.qcow2! },
      { vm: { memory: 512, firmware: 'bios', name: 'db' } },
    );
    expect(hardware).toMatchObject({ name: 'db', memory_mib: 512, vcpus: 4, firmware: 'bios' });
  });

  test('a disk that it names and that is not there', async () => {
    await expect(fetchOf({ 'a.vmx': vmx, 'z.qcow2': images.qcow2! })).rejects.toMatchObject({
      code: 'fetch.missing-disk',
      message: expect.stringContaining('b.img'),
    });
  });

  test('a path out of the directory', async () => {
    const hostile = 'scsi0:0.present = "TRUE"\nscsi0:0.fileName = "/etc/passwd"';
    await expect(fetchOf({ 'a.vmx': hostile, 'z.qcow2': images.qcow2! })).rejects.toMatchObject({
      code: 'fetch.refused-reference',
    });
  });

  test('says which of two branches is in use', async () => {
    const base = descriptor([flatLine('base-flat.vmdk')], { CID: '1' });
    const files = {
      'base.vmdk': base,
      'base-flat.vmdk': Buffer.alloc(FLAT),
      'x.vmdk': delta('base.vmdk', '1', 'aaaa0001'),
      'aaaa0001-flat.vmdk': Buffer.alloc(FLAT),
      'y.vmdk': delta('base.vmdk', '1', 'aaaa0002'),
      'aaaa0002-flat.vmdk': Buffer.alloc(FLAT),
    };
    await expect(fetchOf(files)).rejects.toMatchObject({
      code: 'fetch.several-leaves',
      message: expect.stringMatching(/x\.vmdk and y\.vmdk/),
    });
    const { disks } = await fetchOf({ ...files, 'a.vmx': 'scsi0:0.fileName = "x.vmdk"' });
    expect(disks.map(({ leaf }) => leaf)).toEqual(['x.vmdk']);
  });
});

describe('what is missing', () => {
  test('extents are named', async () => {
    await expect(
      fetchOf({
        'a.vmdk': descriptor([flatLine('a-f001.vmdk'), flatLine('a-f002.vmdk')]),
        'a-f001.vmdk': Buffer.alloc(FLAT),
      }),
    ).rejects.toMatchObject({
      code: 'fetch.missing-extent',
      message: expect.stringContaining('a-f002.vmdk'),
      advice: expect.stringMatching(/./),
    });
  });

  test('a parent is named with its CID', async () => {
    await expect(
      fetchOf({ 'd.vmdk': delta('[ds1] web/base.vmdk', 'c0ffee'), 'aaaa0001-flat.vmdk': Buffer.alloc(FLAT) }),
    ).rejects.toMatchObject({
      code: 'fetch.missing-parent',
      message: expect.stringMatching(/base\.vmdk.*c0ffee/),
    });
  });

  test('a parent that was changed after the snapshot', async () => {
    const base = descriptor([flatLine('base-flat.vmdk')], { CID: '2' });
    const files = {
      'base.vmdk': base,
      'base-flat.vmdk': Buffer.alloc(FLAT),
      'd.vmdk': delta('base.vmdk', '1'),
      'aaaa0001-flat.vmdk': Buffer.alloc(FLAT),
    };
    await expect(fetchOf(files)).rejects.toMatchObject({ code: 'fetch.parent-mismatch' });
  });

  test('a descriptor', async () => {
    await expect(fetchOf({ 'web-flat.vmdk': images.raw! })).rejects.toMatchObject({
      code: 'fetch.missing-descriptor',
    });
  });

  test('the end of a flat extent', async () => {
    await expect(
      fetchOf({ 'a.vmdk': descriptor([flatLine('a-flat.vmdk')]), 'a-flat.vmdk': Buffer.alloc(FLAT - 512) }),
    ).rejects.toMatchObject({ code: 'fetch.truncated' });
  });

  test('the end of a sparse file', async () => {
    await expect(
      fetchOf({ 'a.vmdk': images.vmdk!.subarray(0, images.vmdk!.length - 65_536) }),
    ).rejects.toMatchObject({ code: 'fetch.truncated' });
  });

  test('a loop', async () => {
    const files = {
      'x.vmdk': delta('y.vmdk', 'aaaa0002', 'aaaa0001'),
      'aaaa0001-flat.vmdk': Buffer.alloc(FLAT),
      'y.vmdk': delta('x.vmdk', 'aaaa0001', 'aaaa0002'),
      'aaaa0002-flat.vmdk': Buffer.alloc(FLAT),
    };
    await expect(fetchOf(files)).rejects.toMatchObject({
      code: 'fetch.corrupt',
      message: expect.stringContaining('loop'),
    });
  });

  test('everything', async () => {
    await expect(fetchOf({ 'vm/notes.txt': 'hello' }, {}, ['vm'])).rejects.toMatchObject({
      code: 'fetch.no-disk',
      message: expect.stringContaining('notes.txt'),
    });
    const job = await makeJob();
    await mkdir(join(job.source, 'vm'));
    await expect(fetchStage.run(makeContext(job, ['vm']), {})).rejects.toMatchObject({ code: 'fetch.empty' });
  });
});

describe('what is refused', () => {
  test.each([
    '/etc/passwd',
    '../x.vmdk',
    '../../etc/shadow',
    '/dev/sda',
    'sub/x.vmdk',
    '..',
    'json:{}',
    'nbd://127.0.0.1:10809/x',
    'file:/etc/passwd',
    'http://127.0.0.1/x',
    'a\u001b[2J.vmdk',
    'x'.repeat(300),
    'C:\\x.vmdk',
    'host_device:/dev/sda',
  ])('an extent named %j', async (name) => {
    const error = await fetchOf({ 'a.vmdk': descriptor([flatLine(name)]) }).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: 'fetch.refused-reference', advice: expect.stringMatching(/./) });
    expect((error as Error).message).not.toMatch(/[\u0000-\u001f]/);
  });

  test.each([
    ['../base.vmdk', 'fetch.missing-parent'],
    ['x/../../base.vmdk', 'fetch.missing-parent'],
    ['json:{}', 'fetch.refused-reference'],
    ['nbd:unix:/run/x', 'fetch.refused-reference'],
  ])('a VMDK parent named %j', async (name, code) => {
    const files = { 'd.vmdk': delta(name, '1'), 'aaaa0001-flat.vmdk': Buffer.alloc(FLAT) };
    await expect(fetchOf(files)).rejects.toMatchObject({ code });
  });

  test.each(['/etc/passwd', '../x', 'json:{"driver":"nbd"}', 'nbd:127.0.0.1:1', 'ssh://x/y'])(
    'a qcow2 backing file named %j',
    async (name) => {
      const bytes = Buffer.from(images.qcow2!);
      const length = bytes.write(name, 1024);
      bytes.writeBigUInt64BE(1024n, 8);
      bytes.writeUInt32BE(length, 16);
      await expect(fetchOf({ 'a.qcow2': bytes })).rejects.toMatchObject({ code: 'fetch.refused-reference' });
    },
  );

  test('a text named x.vmdk', async () => {
    await expect(fetchOf({ 'x.vmdk': 'shopping list\n' })).rejects.toMatchObject({
      code: 'fetch.unknown-format',
      message: expect.stringContaining('plain text'),
    });
  });

  test('a web page and zeros instead of a disk', async () => {
    await expect(fetchOf({ 'x.qcow2': '<!DOCTYPE html><html>404' })).rejects.toMatchObject({
      code: 'fetch.unknown-format',
      message: expect.stringContaining('web page'),
    });
    await expect(fetchOf({ 'x.img': Buffer.alloc(MIB) })).rejects.toMatchObject({
      code: 'fetch.unknown-format',
      message: expect.stringContaining('zeros'),
    });
  });

  test('a qcow2 named as raw', async () => {
    await expect(fetchOf({ 'x.raw': images.qcow2! })).rejects.toMatchObject({
      code: 'fetch.conflicting-format',
    });
  });

  test('symbolic links, FIFOs and hard links, also inside a directory', async () => {
    for (const make of [
      (path: string) => symlink('/etc/passwd', path),
      async (path: string) => void execFileSync('mkfifo', [path]),
      async (path: string) => {
        await writeFile(`${path}.other`, images.qcow2!);
        await link(`${path}.other`, path);
        await rm(`${path}.third`, { force: true });
      },
    ]) {
      const job = await makeJob();
      await mkdir(join(job.source, 'vm'));
      await make(join(job.source, 'vm', 'a.qcow2'));
      await expect(fetchStage.run(makeContext(job, ['vm']), {})).rejects.toMatchObject({
        code: 'fetch.refused-special',
      });
    }
  });

  test('hard links in the user’s own place are none of our business', async () => {
    const job = await makeJob();
    const elsewhere = await makeJob();
    await writeFile(join(elsewhere.source, 'a.qcow2'), images.qcow2!);
    await link(join(elsewhere.source, 'a.qcow2'), join(elsewhere.work, 'b.qcow2'));
    const context = makeContext({ work: job.work, source: elsewhere.source }, ['a.qcow2']);
    expect((await openDrop(context)).disks).toHaveLength(1);
  });

  test('a piece that two disks share, or one lists twice', async () => {
    const shared = { 'x-flat.vmdk': Buffer.alloc(FLAT) };
    await expect(
      fetchOf({
        ...shared,
        'a.vmdk': descriptor([flatLine('x-flat.vmdk')]),
        'b.vmdk': descriptor([flatLine('x-flat.vmdk')]),
      }),
    ).rejects.toMatchObject({ code: 'fetch.corrupt' });
    await expect(fetchOf({ 'a.vmdk': descriptor([flatLine('a.vmdk')]) })).rejects.toMatchObject({
      code: 'fetch.corrupt',
    });
  });

  test('a 3 TiB sparse file of zeros costs nothing', async () => {
    const job = await makeJob();
    await writeFile(join(job.source, 'x.img'), '');
    await truncate(join(job.source, 'x.img'), 3 * 1024 ** 4);
    const started = performance.now();
    await expect(fetchStage.run(makeContext(job, ['x.img']), {})).rejects.toMatchObject({
      code: 'fetch.unknown-format',
    });
    expect(performance.now() - started).toBeLessThan(1000);
  });
});
