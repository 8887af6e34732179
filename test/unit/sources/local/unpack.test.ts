import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { localSource } from '../../../../src/sources/local/local-source.js';
import { makeContext, makeJob } from '../../../integration/flatten-images.js';

const MIB = 1024 ** 2;
const packed = (fill: number) => gzipSync(Buffer.alloc(MIB, fill), { level: 1 });

async function unpackedOf(job: Awaited<ReturnType<typeof makeJob>>): Promise<string> {
  const drop = { directory: job.source, entries: ['a.raw.gz'] };
  const { disks } = await localSource.open({ drop }, makeContext(job, drop.entries, { kind: 'data' }));
  return join(job.work, disks[0]!.chain.layers[0]!.bytes.path);
}

test('the copy of one file is not taken for that of another with its name', async () => {
  const job = await makeJob();
  await writeFile(join(job.source, 'a.raw.gz'), packed(1));
  const first = await unpackedOf(job);
  expect((await readFile(first)).equals(Buffer.alloc(MIB, 1))).toBe(true);
  expect(await unpackedOf(job)).toBe(first);
  await rm(join(job.source, 'a.raw.gz'));
  await writeFile(join(job.source, 'a.raw.gz'), packed(2));
  const second = await unpackedOf(job);
  expect((await readFile(second)).equals(Buffer.alloc(MIB, 2))).toBe(true);
  expect(await readdir(join(job.work, 'unpacked'))).toHaveLength(1);
});

test('nothing is left of a source that was refused', async () => {
  const job = await makeJob();
  await writeFile(join(job.source, 'a.raw.gz'), packed(1));
  const drop = { directory: job.source, entries: ['a.raw.gz'] };
  await expect(localSource.open({ drop }, makeContext(job, drop.entries))).rejects.toMatchObject({
    code: 'fetch.unknown-format',
  });
  expect(await readdir(job.work)).toEqual(['source']);
});
