import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { flattenStage } from '../../src/stages/flatten/index.js';
import { compareImages, imageInfo } from '../../src/tools/qemu-img.js';
import { descriptor, withFooter } from '../unit/disk/images.js';
import {
  copyOf,
  fetchAndFlatten,
  MIB,
  makeContext,
  makeJob,
  makeRaw,
  qemuImg,
  writeImage,
  writeRaw,
} from './flatten-images.js';

const SIZE = 8 * MIB + 512 * 3;
let raw: string;
let big: string;
beforeAll(async () => {
  const directory = await mkdtemp(join(tmpdir(), 'h2k-flatten-base-'));
  raw = join(directory, 'base.raw');
  big = join(directory, 'big.raw');
  await makeRaw(raw, SIZE);
  // Over 2 GiB: the split forms have more than one extent.
  await makeRaw(big, 5 * 1024 * MIB);
  return () => rm(directory, { recursive: true });
});

async function sameAs(expected: string, job: { work: string }, image: string): Promise<boolean> {
  return compareImages({ file: expected, format: 'raw' }, { file: join(job.work, image), format: 'qcow2' });
}

async function digests(directory: string): Promise<Record<string, string>> {
  const result: Record<string, string> = {};
  for (const name of (await readdir(directory)).sort())
    result[name] = createHash('sha256')
      .update(await readFile(join(directory, name)))
      .digest('hex');
  return result;
}

describe('every VMDK form has the content of the original', () => {
  for (const form of [
    'monolithicSparse',
    'streamOptimized',
    'monolithicFlat',
    'twoGbMaxExtentSparse',
    'twoGbMaxExtentFlat',
  ]) {
    test(form, async () => {
      const job = await makeJob();
      await qemuImg([
        'convert',
        '-f',
        'raw',
        '-O',
        'vmdk',
        '-o',
        `subformat=${form}`,
        raw,
        join(job.source, 'web01.vmdk'),
      ]);
      const before = await digests(job.source);
      const { disks } = await fetchAndFlatten(makeContext(job, await readdir(job.source)));
      expect(disks).toHaveLength(1);
      expect(disks[0]).toMatchObject({ image: 'flat-disk0.qcow2', virtual_size: SIZE });
      expect(await sameAs(raw, job, 'flat-disk0.qcow2')).toBe(true);
      expect(await digests(job.source)).toEqual(before);
    });
  }

  for (const form of ['twoGbMaxExtentSparse', 'twoGbMaxExtentFlat']) {
    test(`${form} with three extents`, async () => {
      const job = await makeJob();
      await qemuImg([
        'convert',
        '-f',
        'raw',
        '-O',
        'vmdk',
        '-o',
        `subformat=${form}`,
        big,
        join(job.source, 'web01.vmdk'),
      ]);
      const { disks } = await fetchAndFlatten(makeContext(job, await readdir(job.source)));
      expect(disks[0]?.layers[0]?.files).toHaveLength(4);
      expect(await sameAs(big, job, 'flat-disk0.qcow2')).toBe(true);
    });
  }
});

test.each(['qcow2', 'raw'])('%s, and a dropped directory', async (format) => {
  const job = await makeJob();
  await mkdir(join(job.source, 'web01'));
  await qemuImg(['convert', '-f', 'raw', '-O', format, raw, join(job.source, 'web01', `disk.${format}`)]);
  const { disks } = await fetchAndFlatten(makeContext(job, ['web01']));
  expect(disks[0]?.layers).toEqual([
    { path: `web01/disk.${format}`, format, files: [`web01/disk.${format}`] },
  ]);
  expect(await sameAs(raw, job, 'flat-disk0.qcow2')).toBe(true);
});

test.each([
  ['dynamic.vhd', ['-O', 'vpc', '-o', 'force_size=on']],
  ['fixed.vhd', ['-O', 'vpc', '-o', 'subformat=fixed,force_size=on']],
  ['a.vhdx', ['-O', 'vhdx']],
  ['a.vdi', ['-O', 'vdi']],
])('%s has the content of the original', async (name, args) => {
  const job = await makeJob();
  await qemuImg(['convert', '-f', 'raw', ...args, raw, join(job.source, name)]);
  const { disks } = await fetchAndFlatten(makeContext(job, [name]));
  expect(disks[0]).toMatchObject({ virtual_size: SIZE });
  expect(await sameAs(raw, job, 'flat-disk0.qcow2')).toBe(true);
});

/**
 * A chain of `depth` images; each delta changes one cluster. Returns the names, base first, and the raw of
 * the newest state.
 */
async function makeChain(
  job: { work: string; source: string },
  format: 'vmdk' | 'qcow2',
  depth: number,
  baseForm?: string,
) {
  const expected = await copyOf(raw, join(job.work, 'expected.raw'));
  const names = [`web01.${format}`];
  const form = baseForm === undefined ? [] : ['-o', `subformat=${baseForm}`];
  await qemuImg(['convert', '-f', 'raw', '-O', format, ...form, raw, join(job.source, names[0]!)]);
  for (let index = 1; index < depth; index += 1) {
    const name = `web01-${String(index).padStart(6, '0')}.${format}`;
    await qemuImg(['create', '-q', '-f', format, '-b', names.at(-1)!, '-F', format, name], job.source);
    const writes = [{ offset: (index % 100) * 65_536 + 4096, length: 8192, pattern: 1 + (index % 250) }];
    await writeImage(join(job.source, name), format, writes);
    await writeRaw(expected, writes);
    names.push(name);
  }
  return { names, expected };
}

describe('snapshot chains show the newest state', () => {
  for (const baseForm of [
    'monolithicSparse',
    'monolithicFlat',
    'twoGbMaxExtentSparse',
    'twoGbMaxExtentFlat',
    'streamOptimized',
  ]) {
    test(`vmdk deltas on ${baseForm}`, async () => {
      const job = await makeJob();
      const { expected } = await makeChain(job, 'vmdk', 4, baseForm);
      const { disks } = await fetchAndFlatten(makeContext(job, await readdir(job.source)));
      expect(disks.map(({ layers }) => layers.map(({ path }) => path))).toEqual([
        ['web01-000003.vmdk', 'web01-000002.vmdk', 'web01-000001.vmdk', 'web01.vmdk'],
      ]);
      expect(await sameAs(expected, job, 'flat-disk0.qcow2')).toBe(true);
      expect(await sameAs(raw, job, 'flat-disk0.qcow2')).toBe(false);
    });
  }

  test.each(['vmdk', 'qcow2'] as const)(
    '64 %s layers, in a deep job path',
    async (format) => {
      const job = await makeJob('d'.repeat(120), 'e'.repeat(120));
      const { expected } = await makeChain(job, format, 64);
      const { disks } = await fetchAndFlatten(makeContext(job, await readdir(job.source)));
      expect(disks[0]?.layers).toHaveLength(64);
      expect(await sameAs(expected, job, 'flat-disk0.qcow2')).toBe(true);
    },
    60_000,
  );

  test('one layer more than allowed is refused', async () => {
    const job = await makeJob();
    await makeChain(job, 'qcow2', 5);
    const context = makeContext(job, await readdir(job.source), { flatten: { max_chain_depth: 4 } });
    await expect(fetchAndFlatten(context)).rejects.toMatchObject({ code: 'flatten.chain-too-deep' });
  });
});

test.each(['vmdk', 'qcow2'] as const)(
  'a %s chain opens from any directory, under a further overlay, as the appliance opens it',
  async (format) => {
    const job = await makeJob();
    const { names, expected } = await makeChain(
      job,
      format,
      3,
      format === 'vmdk' ? 'twoGbMaxExtentFlat' : undefined,
    );
    await fetchAndFlatten(makeContext(job, format === 'vmdk' ? await readdir(job.source) : names));
    await qemuImg(
      ['create', '-q', '-f', 'qcow2', '-b', 'flat-disk0.qcow2', '-F', 'qcow2', 'guest0.qcow2'],
      job.work,
    );
    await qemuImg(['compare', '-f', 'raw', '-F', 'qcow2', expected, join(job.work, 'guest0.qcow2')], '/');
  },
);

test('a single disk works in a path of 900 bytes', async () => {
  const job = await makeJob(...Array.from({ length: 9 }, () => 'f'.repeat(99)));
  for (const [name, args] of [
    ['a.qcow2', []],
    ['b.vmdk', ['-o', 'subformat=monolithicFlat']],
  ] as const) {
    const format = name.endsWith('.vmdk') ? 'vmdk' : 'qcow2';
    await qemuImg(['convert', '-f', 'raw', '-O', format, ...args, raw, name], job.source);
  }
  const { disks } = await fetchAndFlatten(makeContext(job, await readdir(job.source)));
  expect(disks).toHaveLength(2);
  for (const { image } of disks) expect(await sameAs(raw, job, image)).toBe(true);
});

test('the graph names our files only, whatever the headers say', async () => {
  const job = await makeJob();
  const { names } = await makeChain(job, 'qcow2', 2);
  // A parent of the same name elsewhere must not be looked at: what counts lies in the drop.
  await qemuImg(
    ['rebase', '-u', '-f', 'qcow2', '-F', 'qcow2', '-b', `/nonexistent/${names[0]}`, names[1]!],
    job.source,
  );
  const { disks } = await fetchAndFlatten(makeContext(job, names));
  expect(disks[0]?.layers).toHaveLength(2);
  const { backing } = await imageInfo(join(job.work, 'flat-disk0.qcow2'), 'qcow2');
  expect(backing?.format).toBe('qcow2');
  expect(JSON.parse(backing!.file.replace(/^json:/, ''))).toEqual({
    driver: 'qcow2',
    file: { driver: 'file', filename: join(job.source, names[1]!) },
    backing: {
      driver: 'qcow2',
      file: { driver: 'file', filename: join(job.source, names[0]!) },
      backing: null,
    },
  });
});

test('copy mode makes a physical disk without a backing file', async () => {
  const job = await makeJob();
  const { names, expected } = await makeChain(job, 'vmdk', 3);
  const { disks } = await fetchAndFlatten(makeContext(job, names, { flatten: { mode: 'copy' } }));
  expect(await imageInfo(join(job.work, disks[0]!.image), 'qcow2')).toMatchObject({ backing: null });
  await rename(job.source, `${job.source}.away`);
  expect(await sameAs(expected, job, 'flat-disk0.qcow2')).toBe(true);
  expect((await readdir(job.work)).sort()).toEqual(['expected.raw', 'flat-disk0.qcow2', 'source.away']);
});

test('running again over what an earlier run left gives the same result', async () => {
  const job = await makeJob();
  const { names, expected } = await makeChain(job, 'vmdk', 3);
  const context = makeContext(job, names);
  const first = await fetchAndFlatten(context);
  expect(await fetchAndFlatten(context)).toEqual(first);
  expect(await sameAs(expected, job, 'flat-disk0.qcow2')).toBe(true);
  await flattenStage.cleanup!(context);
  expect((await readdir(job.work)).sort()).toEqual(['expected.raw', 'source']);
});

describe('forms that qemu-img cannot write', () => {
  test('a stream with its directory in the footer, alone and as the base of a chain', async () => {
    const alone = await makeJob();
    await qemuImg([
      'convert',
      '-f',
      'raw',
      '-O',
      'vmdk',
      '-o',
      'subformat=streamOptimized',
      raw,
      join(alone.work, 'plain.vmdk'),
    ]);
    const base = withFooter(await readFile(join(alone.work, 'plain.vmdk')));
    await writeFile(join(alone.source, 'web01.vmdk'), base);
    await fetchAndFlatten(makeContext(alone, ['web01.vmdk']));
    expect(await sameAs(raw, alone, 'flat-disk0.qcow2')).toBe(true);

    const chain = await makeJob();
    const { names, expected } = await makeChain(chain, 'vmdk', 3, 'streamOptimized');
    await writeFile(
      join(chain.source, 'web01.vmdk'),
      withFooter(await readFile(join(chain.source, 'web01.vmdk'))),
    );
    await fetchAndFlatten(makeContext(chain, names));
    expect(await sameAs(expected, chain, 'flat-disk0.qcow2')).toBe(true);
  });

  test('ESXi’s snapshot: a COWD delta on a VMFS flat disk', async () => {
    const job = await makeJob();
    const expected = await copyOf(raw, join(job.work, 'expected.raw'));
    const sectors = SIZE / 512;
    await copyOf(raw, join(job.source, 'web01-flat.vmdk'));
    await writeFile(
      join(job.source, 'web01.vmdk'),
      descriptor([`RW ${sectors} VMFS "web01-flat.vmdk"`], { CID: '00000abc', createType: '"vmfs"' }),
    );
    const change = { offset: 3 * MIB, length: 512, pattern: 0xe5 };
    await writeRaw(expected, [change]);
    await writeFile(join(job.source, 'web01-000001-delta.vmdk'), cowd(sectors, [change]));
    await writeFile(
      join(job.source, 'web01-000001.vmdk'),
      descriptor([`RW ${sectors} VMFSSPARSE "web01-000001-delta.vmdk"`], {
        CID: 'def',
        parentCID: '00000abc',
        createType: '"vmfsSparse"',
        parentFileNameHint: '"web01.vmdk"',
      }),
    );
    const { disks } = await fetchAndFlatten(makeContext(job, await readdir(job.source)));
    expect(disks[0]?.layers.map(({ files }) => files)).toEqual([
      ['web01-000001.vmdk', 'web01-000001-delta.vmdk'],
      ['web01.vmdk', 'web01-flat.vmdk'],
    ]);
    expect(await sameAs(expected, job, 'flat-disk0.qcow2')).toBe(true);
  });

  /** A COWD extent with grains of one sector and the given sectors in it. */
  function cowd(sectors: number, writes: readonly { offset: number; pattern: number }[]): Buffer {
    const tables = Math.ceil(sectors / 4096);
    const header = Buffer.alloc(4 * 512);
    header.write('COWD');
    for (const [index, value] of [1, 3, sectors, 1, 4, tables].entries())
      header.writeUInt32LE(value, 4 + 4 * index);
    const directory = Buffer.alloc(Math.ceil((tables * 4) / 512) * 512);
    const parts: Buffer[] = [];
    let next = (header.length + directory.length) / 512;
    for (const { offset, pattern } of writes) {
      const sector = offset / 512;
      const table = Buffer.alloc(4096 * 4);
      directory.writeUInt32LE(next, Math.floor(sector / 4096) * 4);
      table.writeUInt32LE(next + 32, (sector % 4096) * 4);
      parts.push(table, Buffer.alloc(512, pattern));
      next += 33;
    }
    return Buffer.concat([header, directory, ...parts]);
  }
});
