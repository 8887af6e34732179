import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { localSource } from '../../../../src/sources/local/local-source.js';
import { makeContext, makeJob } from '../../../integration/flatten-images.js';
import { vdiDelta, vhdDelta } from '../../disk/delta-images.js';
import { MIB, realImages } from '../../disk/images.js';
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
  const [disk, ...others] = source.disks;
  expect(others).toEqual([]);
  const [layer, ...more] = disk!.chain.layers;
  return {
    layer: layer!,
    more,
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
