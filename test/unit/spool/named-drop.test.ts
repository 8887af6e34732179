import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { namedDrop } from '../../../src/spool/named-drop.js';
import { makeJob } from '../../integration/flatten-images.js';
import { descriptor } from '../disk/images.js';
import { ovfText } from '../disk/ovf-text.js';

async function directoryWith(files: Record<string, Buffer | string>): Promise<string> {
  const { source } = await makeJob();
  for (const [name, content] of Object.entries(files)) await writeFile(join(source, name), content);
  return source;
}
const flat = (name: string, settings = {}) => descriptor([`RW 8 FLAT "${name}" 0`], settings);

test('a delta brings its extents, its parents and their extents, and nothing else', async () => {
  const directory = await directoryWith({
    'web01-000001.vmdk': flat('web01-000001-flat.vmdk', {
      parentCID: '1',
      parentFileNameHint: '"web01.vmdk"',
    }),
    'web01-000001-flat.vmdk': 'x',
    'web01.vmdk': flat('web01-flat.vmdk', { CID: '1' }),
    'web01-flat.vmdk': 'x',
    'web01-000001.job.toml': '',
    'other.vmdk': flat('other-flat.vmdk'),
  });
  expect(await namedDrop(directory, 'web01-000001.vmdk')).toEqual({
    entries: [
      'web01-000001-flat.vmdk',
      'web01-000001.job.toml',
      'web01-000001.vmdk',
      'web01-flat.vmdk',
      'web01.vmdk',
    ],
    options: 'web01-000001.job.toml',
  });
  expect((await namedDrop(directory, 'other.vmdk')).entries).toEqual(['other.vmdk']);
});

test('an .ovf brings its disks and its manifest', async () => {
  const directory = await directoryWith({
    'a.ovf': ovfText(['b.vmdk']),
    'b.vmdk': 'x',
    'a.mf': '',
    'c.vmdk': 'x',
  });
  expect((await namedDrop(directory, 'a.ovf')).entries).toEqual(['a.mf', 'a.ovf', 'b.vmdk']);
});

test('a directory is the drop; its job.toml is inside', async () => {
  const directory = await directoryWith({});
  await mkdir(join(directory, 'vm'));
  await writeFile(join(directory, 'vm', 'job.toml'), '');
  expect(await namedDrop(directory, 'vm')).toEqual({ entries: ['vm'], options: 'vm/job.toml' });
  await expect(namedDrop(directory, 'gone')).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a piece brings all pieces of its disk, also those behind a gap', async () => {
  const pieces = ['000000000', '000000001', '000000003'].map((number) => `web01.raw.${number}`);
  const names = [...pieces, 'web01.job.toml', 'other.raw.000000000'];
  const directory = await directoryWith(Object.fromEntries(names.map((name) => [name, 'x'])));
  for (const piece of pieces)
    expect(await namedDrop(directory, piece)).toEqual({
      entries: ['web01.job.toml', ...pieces],
      options: 'web01.job.toml',
    });
});

test('a numbered file beside the whole is a file by itself', async () => {
  const directory = await directoryWith({ 'web01.raw': 'x', 'web01.raw.000000000': 'x' });
  expect((await namedDrop(directory, 'web01.raw')).entries).toEqual(['web01.raw']);
  expect((await namedDrop(directory, 'web01.raw.000000000')).entries).toEqual(['web01.raw.000000000']);
});
