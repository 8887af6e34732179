import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { localSource } from '../../../../src/sources/local/local-source.js';
import { makeContext, makeJob } from '../../../integration/flatten-images.js';
import { vdiDelta, vhdDelta } from '../../disk/delta-images.js';
import { hyperVConfiguration, hyperVXml, vhdAt, vmcx } from '../../disk/hyperv-store.js';
import { MIB, realImages } from '../../disk/images.js';
import { vboxText } from '../../disk/vbox-text.js';
import { vhdxImage } from '../../disk/vhdx-image.js';

const SIZE = 3 * MIB;
const BASE = 'aaaaaaaa111122223333444444444444';
const FIRST = 'bbbbbbbb111122223333444444444444';

/** Opens the directory `web01/` with these files, and reads the copy that was made of its only disk. */
async function open(files: Record<string, Buffer | string>) {
  const job = await makeJob();
  for (const [name, content] of Object.entries(files)) {
    const path = join(job.source, 'web01', name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
  const drop = { directory: job.source, entries: ['web01'] };
  const source = await localSource.open({ drop }, makeContext(job, drop.entries));
  const { hardware, warnings } = source;
  const [disk, ...others] = source.disks;
  expect(others).toEqual([]);
  const [layer, ...more] = disk!.chain.layers;
  return {
    layer: layer!,
    more,
    hardware,
    warnings,
    controller: disk!.controller,
    passedOver: source.passedOver,
    content: () => readFile(join(job.work, layer!.bytes.path)),
  };
}

const apply = (disk: Buffer, { offset, content }: { offset: number; content: Buffer }) => {
  const result = Buffer.from(disk);
  content.copy(result, offset);
  return result;
};
const change = { offset: MIB + 512, content: randomBytes(1024) };

test('a checkpoint of Hyper-V: the chain becomes one plain disk, and none of its files is passed over', async () => {
  const { raw } = await realImages({}, SIZE);
  const base = vhdxImage({ size: SIZE, pieces: [{ offset: 0, content: raw! }], id: BASE });
  const parent = { id: BASE, locator: { absolute_win32_path: '\\\\?\\D:\\VMs\\web01.vhdx' } };
  const delta = vhdxImage({ size: SIZE, pieces: [change], id: FIRST, parent });
  const { layer, more, content, passedOver } = await open({
    'Virtual Hard Disks/web01.vhdx': base,
    'Virtual Hard Disks/web01_6F0A.avhdx': delta,
  });
  expect(layer).toMatchObject({
    name: 'web01/Virtual Hard Disks/web01_6F0A.avhdx',
    format: 'raw',
    virtual_size: SIZE,
    bytes: { place: 'work' },
  });
  expect(more).toEqual([]);
  expect((await content()).equals(apply(raw!, change))).toBe(true);
  expect(passedOver).toEqual([]);
});

test('a parent that was changed after the checkpoint', async () => {
  const parent = { id: FIRST, locator: { relative_path: 'web01.vhdx' } };
  await expect(
    open({
      'web01.vhdx': vhdxImage({ size: SIZE, pieces: [], id: BASE }),
      'web01.avhdx': vhdxImage({ size: SIZE, pieces: [change], id: FIRST.replace('b', 'd'), parent }),
    }),
  ).rejects.toMatchObject({ code: 'fetch.parent-mismatch' });
});

test('a checkpoint without its parent', async () => {
  const parent = { id: BASE, locator: { relative_path: 'web01.vhdx' } };
  await expect(
    open({ 'web01.avhdx': vhdxImage({ size: SIZE, pieces: [change], id: FIRST, parent }) }),
  ).rejects.toMatchObject({ code: 'fetch.missing-parent', message: expect.stringContaining('web01.vhdx') });
});

test('a loop of deltas', async () => {
  const delta = (id: string, to: string, name: string) =>
    vhdxImage({ size: SIZE, pieces: [], id, parent: { id: to, locator: { relative_path: name } } });
  await expect(
    open({ 'a.avhdx': delta(BASE, FIRST, 'b.avhdx'), 'b.avhdx': delta(FIRST, BASE, 'a.avhdx') }),
  ).rejects.toMatchObject({ code: 'fetch.corrupt' });
});

test('an .avhd on a .vhd', async () => {
  const { raw, vhd } = await realImages({ vhd: ['-O', 'vpc', '-o', 'force_size=on'] }, SIZE);
  const id = Buffer.from(vhd!.subarray(vhd!.length - 512 + 68, vhd!.length - 512 + 84));
  const parent = { id, name: 'C:\\VMs\\web01.vhd' };
  const { content } = await open({
    'Virtual Hard Disks/web01.vhd': vhd!,
    'Snapshots/web01_1.avhd': vhdDelta(SIZE, [change], parent, Buffer.alloc(16, 1)),
  });
  expect((await content()).equals(apply(raw!, change))).toBe(true);
});

test('snapshots of VirtualBox in their folder', async () => {
  const { vdi, raw } = await realImages({ vdi: ['-O', 'vdi'] }, SIZE);
  const base = Buffer.from(vdi!);
  const id = randomBytes(16);
  id.copy(base, 392);
  const delta = vdiDelta(vdi!, { id: randomBytes(16), parent: id, zeroBlocks: [2] });
  const { layer, content } = await open({ 'web01.vdi': base, 'Snapshots/{3f1f}.vdi': delta });
  expect(layer.name).toBe('web01/Snapshots/{3f1f}.vdi');
  expect((await content()).equals(Buffer.from(raw!).fill(0, 2 * MIB))).toBe(true);
});

test('VirtualBox’ machine file tells which of two branches is in use', async () => {
  const { vdi, raw } = await realImages({ vdi: ['-O', 'vdi'] }, SIZE);
  const base = Buffer.from(vdi!);
  const id = randomBytes(16);
  id.copy(base, 392);
  const delta = (block: number) => vdiDelta(vdi!, { id: randomBytes(16), parent: id, zeroBlocks: [block] });
  const { layer, content, hardware, controller } = await open({
    'web01.vbox': vboxText(),
    'web01.vdi': base,
    'Snapshots/{22222222-0000-0000-0000-000000000000}.vdi': delta(2),
    'Snapshots/{33333333-0000-0000-0000-000000000000}.vdi': delta(1),
  });
  expect(layer.name).toContain('{2222');
  expect((await content()).equals(Buffer.from(raw!).fill(0, 2 * MIB))).toBe(true);
  expect(hardware).toMatchObject({ name: 'web & db', memory_mib: 2048 });
  expect(controller).toBe('sata0:0');
});

test('VirtualBox’ snapshots that were left behind', async () => {
  const { vdi } = await realImages({ vdi: ['-O', 'vdi'] }, SIZE);
  await expect(open({ 'web01.vbox': vboxText(), 'web01.vdi': vdi! })).rejects.toMatchObject({
    code: 'fetch.missing-delta',
  });
});

describe('Hyper-V’s configuration', () => {
  const chain = async () => {
    const { raw } = await realImages({}, SIZE);
    const delta = (id: string, offset: number) =>
      vhdxImage({
        size: SIZE,
        pieces: [{ offset, content: change.content }],
        id,
        parent: { id: BASE, locator: { absolute_win32_path: '\\\\?\\D:\\VMs\\web01.vhdx' } },
      });
    return {
      raw: raw!,
      files: {
        'Virtual Hard Disks/web01.vhdx': vhdxImage({
          size: SIZE,
          pieces: [{ offset: 0, content: raw! }],
          id: BASE,
        }),
        'Virtual Hard Disks/web01_1.avhdx': delta(FIRST, MIB),
        'Virtual Hard Disks/web01_2.avhdx': delta(FIRST.replaceAll('b', 'd'), 2 * MIB),
      },
    };
  };
  const of = (file: string, typeId?: string) =>
    hyperVConfiguration({
      generation: 2,
      disks: { scsi0: [vhdAt(`D:\\VMs\\web01\\Virtual Hard Disks\\${file}`)] },
      ...(typeId === undefined ? {} : { typeId }),
    });

  test.each<[string, Record<string, Buffer>]>([
    [
      'a .vmcx',
      {
        'Virtual Machines/6F0A.vmcx': vmcx(of('web01_2.avhdx')),
        'Snapshots/77AB.vmcx': vmcx(of('web01.vhdx')),
      },
    ],
    [
      'the older .xml, with another one beside it',
      {
        'Virtual Machines/6F0A.xml': hyperVXml(of('web01_2.avhdx')),
        'Snapshots/77AB.xml': hyperVXml(of('web01.vhdx', 'Snapshots')),
        'Virtual Machines/notes.xml': Buffer.from('<notes/>'),
      },
    ],
  ])('%s tells which of two checkpoints’ branches is in use', async (_what, configuration) => {
    const { raw, files } = await chain();
    const { layer, content, hardware, controller } = await open({ ...files, ...configuration });
    expect(layer.name).toContain('web01_2.avhdx');
    expect((await content()).equals(apply(raw, { offset: 2 * MIB, content: change.content }))).toBe(true);
    expect(hardware).toMatchObject({ firmware: 'uefi', memory_mib: 2048, vcpus: 3 });
    expect(hardware.nics).toMatchObject([{ mac: '00:15:5d:01:07:dc' }]);
    expect(controller).toBe('scsi0:0');
  });

  test('one that cannot be read is a warning', async () => {
    const { warnings, hardware } = await open({
      'Virtual Hard Disks/web01.vhdx': vhdxImage({ size: SIZE, pieces: [change], id: BASE }).subarray(0),
      'Virtual Hard Disks/web01.avhdx': vhdxImage({
        size: SIZE,
        pieces: [{ offset: 0, content: (await realImages({}, SIZE)).raw! }],
        id: FIRST,
        parent: { id: BASE, locator: { relative_path: 'web01.vhdx' } },
      }),
      'Virtual Machines/6F0A.vmcx': Buffer.alloc(4096),
    });
    expect(hardware.memory_mib).toBe(null);
    expect(warnings).toMatchObject([{ code: 'fetch.description-unread' }]);
  });

  test('two VMs are refused', async () => {
    const { files } = await chain();
    await expect(
      open({
        ...files,
        'Virtual Machines/1.vmcx': vmcx(of('web01_1.avhdx')),
        'Virtual Machines/2.vmcx': vmcx(of('web01_2.avhdx')),
      }),
    ).rejects.toMatchObject({ code: 'fetch.several-vms' });
  });
});
