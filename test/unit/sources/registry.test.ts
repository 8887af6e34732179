import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { jobOptionsSchema } from '../../../src/config/schema.js';
import { executePipeline } from '../../../src/engine/run-stages.js';
import type { Source } from '../../../src/sources/base/source.js';
import { SOURCES, sourceOf } from '../../../src/sources/registry.js';
import { STAGES } from '../../../src/stages/registry.js';
import { qemuImg } from '../../integration/flatten-images.js';
import { noGuest, testOptions, testRequest } from '../engine/fakes.js';
import { dummySource } from './dummy-source.js';

const fromDummy = (options: object) =>
  jobOptionsSchema.parse({ ...testOptions({}, 'data'), source: { type: 'dummy', ...options } });

const run = (request: ReturnType<typeof testRequest>, source: Source) =>
  executePipeline(request, { stages: STAGES, openGuest: noGuest, sources: [...SOURCES, source] });

test('a source of one new file takes a data job through all stages', async () => {
  const closed: string[] = [];
  const request = testRequest({ options: fromDummy({ sectors: 4096, fill: 0xa5 }) });
  const { error, outputs, records } = await run(request, dummySource(closed));
  expect(error).toBeNull();
  expect(records.map(({ stage, status }) => `${stage} ${status}`)).toEqual([
    'fetch completed',
    'flatten completed',
    'inspect skipped',
    'plan skipped',
    'fix skipped',
    'convert completed',
    'validate completed',
  ]);
  expect(outputs.fetch).toMatchObject({ hardware: { name: 'made' }, files: [{ path: 'made up' }] });
  expect(outputs.validate).toMatchObject({ content: { verdict: 'identical' } });
  const raw = join(request.workDirectory, 'out.raw');
  await qemuImg(['convert', '-O', 'raw', join(request.workDirectory, 'out/web01-disk0.qcow2'), raw]);
  expect((await readFile(raw)).equals(Buffer.alloc(4096 * 512, 0xa5))).toBe(true);
  expect(closed).toEqual(['done']);
});

test('another content id runs the stages again; a failed run closes the source as failed', async () => {
  const closed: string[] = [];
  const request = testRequest({ options: fromDummy({ sectors: 64, fill: 1 }), until: 'flatten' });
  const source = dummySource(closed);
  await run(request, source);
  const again = await run(request, source);
  expect(again.records.map(({ status }) => status)).toEqual(['reused', 'reused']);
  expect(closed).toEqual(['done']);
  const options = fromDummy({ sectors: 64, fill: 2 });
  const changed = await run({ ...request, options }, source);
  expect(changed.records.map(({ status }) => status)).toEqual(['completed', 'completed']);
  options.config.flatten.max_virtual_size_gib = 0;
  const failed = await run({ ...request, options: { ...options, vm: { name: 'x' } } }, source);
  expect(failed.error).toMatchObject({ code: 'flatten.too-large' });
  expect(closed).toEqual(['done', 'done', 'failed']);
});

test('a type that nobody has', async () => {
  expect(() => sourceOf('ftp', SOURCES)).toThrow(expect.objectContaining({ code: 'source.unknown-type' }));
  const { error } = await run(testRequest({ options: fromDummy({}) }), { ...dummySource([]), type: 'other' });
  expect(error).toMatchObject({ code: 'source.unknown-type' });
});
