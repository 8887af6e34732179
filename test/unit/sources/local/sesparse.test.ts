import { randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fetchAndFlatten, MIB, makeContext, makeJob, qemuImg } from '../../../integration/flatten-images.js';
import { descriptor } from '../../disk/images.js';
import { type GrainWrite, seSparse } from '../../disk/sesparse-image.js';

test('ESXi’s snapshots since 6.5: two seSparse deltas with changes, zeros and unmapped grains', async () => {
  const job = await makeJob();
  // More than one grain table, more grains than twelve bits can number, and a last grain of three sectors.
  const size = 21 * MIB + 512 * 3;
  const expected = Buffer.alloc(size, 'the base’s own text. ');
  await writeFile(join(job.source, 'web01-flat.vmdk'), expected);
  const sectors = size / 512;
  const describeLayer = (name: string, line: string, settings: Record<string, string>) =>
    writeFile(join(job.source, name), descriptor([`RW ${sectors} ${line}`], settings));
  await describeLayer('web01.vmdk', 'VMFS "web01-flat.vmdk"', { CID: '00000abc', createType: '"vmfs"' });
  const layers: GrainWrite[][] = [
    [
      { offset: MIB, content: randomBytes(18 * MIB) },
      { offset: 20 * MIB, content: randomBytes(8192) },
      { offset: 21 * MIB, content: randomBytes(512 * 3) },
    ],
    [
      { offset: 20.5 * MIB, content: randomBytes(4096) },
      { offset: 2 * MIB, content: 'zero' },
      { offset: 20 * MIB + 4096, content: 'unmapped' },
      { offset: 17 * MIB, content: randomBytes(MIB) },
    ],
  ];
  for (const [index, writes] of layers.entries()) {
    const name = `web01-00000${index + 1}`;
    for (const { offset, content } of writes) {
      if (typeof content === 'string') expected.fill(0, offset, offset + 4096);
      else content.copy(expected, offset);
    }
    await writeFile(
      join(job.source, `${name}-sesparse.vmdk`),
      seSparse(size, writes, { backwards: index === 0 }),
    );
    await describeLayer(`${name}.vmdk`, `SESPARSE "${name}-sesparse.vmdk"`, {
      CID: `000000d${index}`,
      parentCID: index === 0 ? '00000abc' : '000000d0',
      createType: '"seSparse"',
      parentFileNameHint: index === 0 ? '"web01.vmdk"' : '"web01-000001.vmdk"',
    });
  }
  await writeFile(join(job.work, 'expected.raw'), expected);
  const { disks } = await fetchAndFlatten(makeContext(job, await readdir(job.source)));
  expect(disks[0]?.layers.map(({ files }) => files)).toEqual([
    ['web01-000002.vmdk', 'web01-000002-sesparse.vmdk'],
    ['web01-000001.vmdk', 'web01-000001-sesparse.vmdk'],
    ['web01.vmdk', 'web01-flat.vmdk'],
  ]);
  await qemuImg([
    'convert',
    '-f',
    'qcow2',
    '-O',
    'raw',
    join(job.work, 'flat-disk0.qcow2'),
    join(job.work, 'result.raw'),
  ]);
  expect((await readFile(join(job.work, 'result.raw'))).equals(expected)).toBe(true);
});

test('a descriptor that calls an extent by the name of another format', async () => {
  const job = await makeJob();
  await writeFile(
    join(job.source, 'a-sesparse.vmdk'),
    seSparse(MIB, [{ offset: 0, content: randomBytes(4096) }]),
  );
  await writeFile(join(job.source, 'a.vmdk'), descriptor([`RW ${MIB / 512} SPARSE "a-sesparse.vmdk"`]));
  await expect(fetchAndFlatten(makeContext(job, await readdir(job.source)))).rejects.toMatchObject({
    code: 'fetch.corrupt',
  });
});
