import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { beforeAll, expect, test } from 'vitest';
import { unpackFile } from '../../../src/tools/unpack.js';

const MIB = 1024 * 1024;
let directory: string;
let content: Buffer;
let count = 0;
const signal = new AbortController().signal;
const FORMS = [
  ['gzip', 'gzip -c'],
  ['xz', 'xz -c'],
  ['zstd', 'zstd -cq'],
] as const;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'h2k-unpack-'));
  content = Buffer.alloc(9 * MIB + 700);
  for (let at = 0; at < MIB; at += 1) content[at] = (at * at) % 251;
  content.write('the end', content.length - 7);
  await writeFile(join(directory, 'plain'), content);
  for (const [name, tool] of FORMS) execFileSync('sh', ['-c', `${tool} plain > ${name}`], { cwd: directory });
  return () => rm(directory, { recursive: true });
});
const fresh = () => join(directory, `out${count++}`);
const admit = () => undefined;

test.each(FORMS)('%s: the same bytes, zeros as holes', async (compression) => {
  const target = fresh();
  let read = 0;
  const onRead = (bytes: number) => {
    read = bytes;
  };
  await unpackFile({ compression, source: join(directory, compression), target, admit }, { signal, onRead });
  expect((await readFile(target)).equals(content)).toBe(true);
  expect((await stat(target)).blocks * 512).toBeLessThan(3 * MIB);
  expect(read).toBe((await stat(join(directory, compression))).size);
});

test('the same bytes, also when the program has ended while the first piece waits to be admitted', async () => {
  const [source, target] = [fresh(), fresh()];
  const small = Buffer.concat([Buffer.alloc(65_536, 1), Buffer.alloc(40_000)]);
  await writeFile(source, gzipSync(small));
  let pieces = 0;
  const slow = async () => {
    pieces += 1;
    if (pieces === 1) await sleep(300);
  };
  await unpackFile({ compression: 'gzip', source, target, admit: slow }, { signal });
  expect(pieces).toBeGreaterThan(1);
  expect((await readFile(target)).equals(small)).toBe(true);
});

test('a part of a larger file', async () => {
  const packed = await readFile(join(directory, 'gzip'));
  const source = fresh();
  const target = fresh();
  await writeFile(source, Buffer.concat([Buffer.alloc(1000, 1), packed, Buffer.alloc(1000, 2)]));
  await unpackFile(
    { compression: 'gzip', source, target, admit, region: { offset: 1000, size: packed.length } },
    { signal },
  );
  expect((await readFile(target)).equals(content)).toBe(true);
});

test.each(FORMS)('%s: a stream that ends too early', async (compression) => {
  const source = fresh();
  await writeFile(source, await readFile(join(directory, compression)));
  await truncate(source, (await stat(source)).size - 30);
  await expect(unpackFile({ compression, source, target: fresh(), admit }, { signal })).rejects.toMatchObject(
    {
      code: 'fetch.truncated',
    },
  );
});

test.each(FORMS)('%s: bytes that are damaged', async (compression) => {
  const source = fresh();
  const bytes = await readFile(join(directory, compression));
  bytes.fill(0xa5, Math.floor(bytes.length / 2), Math.floor(bytes.length / 2) + 200);
  await writeFile(source, bytes);
  await expect(unpackFile({ compression, source, target: fresh(), admit }, { signal })).rejects.toMatchObject(
    {
      code: expect.stringMatching(/^fetch\.(corrupt|truncated)$/),
    },
  );
});

test('what the budget refuses ends it at once', async () => {
  let admitted = 0;
  const request = {
    compression: 'gzip',
    source: join(directory, 'gzip'),
    target: fresh(),
    admit: (bytes: number) => {
      admitted += bytes;
      if (admitted > MIB) throw new Error('enough');
    },
  } as const;
  await expect(unpackFile(request, { signal })).rejects.toThrow('enough');
  expect(admitted).toBeLessThan(2 * MIB);
  expect((await stat(request.target)).size).toBeLessThan(2 * MIB);
});
