import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  checkImage,
  compareImages,
  convertImage,
  createImage,
  imageInfo,
  mapParser,
  percentParser,
} from '../../../src/tools/qemu-img.js';
import { MIB, makeRaw } from '../../integration/flatten-images.js';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'h2k-qemu-img-'));
  await makeRaw(join(directory, 'a.raw'), 4 * MIB);
  return () => rm(directory, { recursive: true });
});
const path = (name: string) => join(directory, name);

describe('progress', () => {
  test('updates that are cut between chunks', () => {
    const seen: number[] = [];
    const parse = percentParser((percent) => seen.push(percent));
    for (const chunk of [
      '    (0.00/10',
      '0%)\r    (1.5',
      '0/100%)\r    (2.00/100%)\r',
      '    (100.00/100%)\r\n',
    ])
      parse(Buffer.from(chunk));
    expect(seen).toEqual([0, 2, 100]);
  });
  test('what is no progress is passed over', () => {
    const seen: number[] = [];
    percentParser((percent) => seen.push(percent))(Buffer.from('warning: something (1/2)\n'.repeat(1000)));
    expect(seen).toEqual([]);
  });
});

test('the map of an image is read whole, however its text is cut', () => {
  const lines = [
    '[{ "start": 0, "length": 65536, "depth": 0, "present": true, "zero": true, "data": false},\n',
    '{ "start": 65536, "length": 512, "depth": 1, "present": true, "zero": false, "data": true, "offset": 4}]\n',
  ].join('');
  for (const size of [1, 7, 64, 1000]) {
    const seen: unknown[] = [];
    const parse = mapParser((entry) => seen.push(entry));
    for (let at = 0; at < lines.length; at += size) parse(Buffer.from(lines.slice(at, at + size)));
    expect(seen).toEqual([
      { start: 0, length: 65536, depth: 0, zero: true },
      { start: 65536, length: 512, depth: 1, zero: false },
    ]);
  }
});

test('convert reports percent up to 100, and compare sees the same content', async () => {
  const seen: number[] = [];
  await convertImage(
    {
      source: path('a.raw'),
      sourceFormat: 'raw',
      target: path('b.qcow2'),
      targetFormat: 'qcow2',
      compress: true,
      settings: { compression_type: 'zstd' },
    },
    { onPercent: (percent) => seen.push(percent) },
  );
  expect(seen.at(-1)).toBe(100);
  expect(
    await compareImages({ file: path('a.raw'), format: 'raw' }, { file: path('b.qcow2'), format: 'qcow2' }),
  ).toBe(true);
  expect(await checkImage(path('b.qcow2'), 'qcow2')).toMatchObject({ sound: true, corruptions: 0 });
});

test('create, info, compare', async () => {
  await createImage({ file: path('base.qcow2'), format: 'qcow2', size: 8 * MIB });
  await createImage({
    file: path('top.qcow2'),
    format: 'qcow2',
    backing: { file: path('a.raw'), format: 'raw' },
  });
  expect(await imageInfo(path('top.qcow2'), 'qcow2')).toMatchObject({
    virtualSize: 4 * MIB,
    backing: { file: path('a.raw'), format: 'raw' },
  });
  expect(
    await compareImages(
      { file: path('base.qcow2'), format: 'qcow2' },
      { file: path('a.raw'), format: 'raw' },
    ),
  ).toBe(false);
});

test('an abort stops a conversion, a missing backing file fails a create', async () => {
  const signal = AbortSignal.abort(new Error('stopped'));
  await expect(
    convertImage(
      { source: path('a.raw'), sourceFormat: 'raw', target: path('c.qcow2'), targetFormat: 'qcow2' },
      { signal },
    ),
  ).rejects.toThrow('stopped');
  await expect(
    createImage({ file: path('d.qcow2'), format: 'qcow2', backing: { file: path('gone'), format: 'raw' } }),
  ).rejects.toMatchObject({ code: 'tool.failed' });
});
