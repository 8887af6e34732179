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
