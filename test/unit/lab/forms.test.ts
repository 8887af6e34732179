import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../../src/tools/run.js';
import { DISK_FORMS, formOf } from '../../lab/forms.ts';

let directory: string;
let image: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'h2k-forms-'));
  image = join(directory, 'image.raw');
  await writeFile(image, randomBytes(200_000));
  await truncate(image, 4 * 1024 * 1024);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

test.each(DISK_FORMS.filter((form) => form !== 'vmdk-chain'))('%s holds the same guest', async (form) => {
  const file = await formOf(image, form, join(directory, form));
  await expectSame(file, image);
});

test('a chain has a file for each delta, and its newest shows their changes', async () => {
  const target = join(directory, 'chain');
  const newest = await formOf(image, 'vmdk-chain', target, {
    name: 'web01',
    deltas: [
      [
        { offset: 0, length: 4096, pattern: 1 },
        { offset: 1024 * 1024, length: 4096, pattern: 1 },
      ],
      [{ offset: 1024 * 1024, length: 4096, pattern: 2 }],
    ],
  });
  expect(await readdir(target)).toEqual(['web01-000001.vmdk', 'web01-000002.vmdk', 'web01.vmdk']);
  expect(newest).toBe(join(target, 'web01-000002.vmdk'));
  const expected = join(directory, 'expected.raw');
  await run('cp', [image, expected]);
  await run('qemu-io', [
    ...['-f', 'raw', '-c', 'write -P 1 0 4096', '-c', 'write -P 2 1048576 4096', expected],
  ]);
  await expectSame(newest, expected);
});

async function expectSame(file: string, raw: string): Promise<void> {
  const { code } = await run('qemu-img', ['compare', '-F', 'raw', file, raw], { okCodes: [0, 1] });
  expect(code, `${file} differs`).toBe(0);
}
