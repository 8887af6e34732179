import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import {
  fetchAndFlatten,
  MIB,
  makeContext,
  makeJob,
  makeRaw,
  qemuImg,
} from '../../../integration/flatten-images.js';
import { ovfText } from '../../disk/ovf-text.js';
import { zipOf } from '../../disk/zip-archive.js';

type Job = Awaited<ReturnType<typeof makeJob>>;

/** A job with `base.raw` in its work directory, and the folder that an archive is made of. */
async function jobWithDisk(): Promise<{ job: Job; raw: string; inside: string }> {
  const job = await makeJob();
  const inside = join(job.work, 'inside');
  await mkdir(inside);
  const raw = join(job.work, 'base.raw');
  await makeRaw(raw, 8 * MIB + 512);
  const file = await open(raw, 'r+');
  // More runs of data than a tar header and one block after it can list.
  for (let at = 1; at < 29; at++) await file.write(randomBytes(8192), 0, 8192, (at * MIB) / 4 + 65_536);
  await file.close();
  return { job, raw, inside };
}

async function result(job: Job): Promise<Buffer> {
  const target = join(job.work, 'result.raw');
  await qemuImg(['convert', '-f', 'qcow2', '-O', 'raw', join(job.work, 'flat-disk0.qcow2'), target]);
  return readFile(target);
}

const tar = (inside: string, args: readonly string[]) => execFileSync('tar', args, { cwd: inside });
const layersOf = async (job: Job, entry: string) =>
  (await fetchAndFlatten(makeContext(job, [entry]))).disks.map(({ layers }) =>
    layers.map(({ path, format }) => `${path} ${format}`).join(),
  );

test.each([
  ['as Google Cloud exports it, sparse', ['--format=oldgnu', '-Sczf'], 'web01.tar.gz'],
  ['made by hand, with all of its zeros', ['-czf'], 'web01.tar.gz'],
  ['not compressed', ['--format=oldgnu', '-Scf'], 'web01.tar'],
])('disk.raw in a tar, %s', async (_what, args, name) => {
  const { job, raw, inside } = await jobWithDisk();
  execFileSync('cp', ['--sparse=always', raw, join(inside, 'disk.raw')]);
  tar(inside, [...args, join(job.source, name), 'disk.raw']);
  if (name.endsWith('.tar'))
    expect((await readFile(join(job.source, name))).toString('latin1', 156, 157)).toBe('S');
  expect(await layersOf(job, name)).toEqual([`${name.replace(/\.gz$/, '')}/disk.raw raw`]);
  expect((await result(job)).equals(await readFile(raw))).toBe(true);
});

test.each([
  ['with one disk', { provider: 'libvirt', format: 'qcow2', virtual_size: 1 }, 'box.img'],
  [
    'with a list of disks',
    { provider: 'libvirt', format: 'qcow2', disks: [{ path: 'disk1.img' }] },
    'disk1.img',
  ],
])('a Vagrant box for libvirt %s: a qcow2 that ends in .img', async (_what, metadata, disk) => {
  const { job, raw, inside } = await jobWithDisk();
  await writeFile(join(inside, 'metadata.json'), JSON.stringify(metadata));
  await writeFile(join(inside, 'Vagrantfile'), 'Vagrant.configure("2") do |config|\nend\n');
  await qemuImg(['convert', '-f', 'raw', '-O', 'qcow2', raw, join(inside, disk)]);
  tar(inside, ['-czf', join(job.source, 'web01.box'), './metadata.json', './Vagrantfile', `./${disk}`]);
  expect(await layersOf(job, 'web01.box')).toEqual([`web01.box/${disk} qcow2`]);
  expect((await result(job)).equals(await readFile(raw))).toBe(true);
});

test('a Vagrant box for VirtualBox: an OVF and its disk', async () => {
  const { job, raw, inside } = await jobWithDisk();
  const files = {
    'metadata.json': '{"provider":"virtualbox"}',
    'box.ovf': ovfText(['box-disk001.vmdk']),
    'info.json': '{}',
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(inside, name), text);
  const form = ['-O', 'vmdk', '-o', 'subformat=streamOptimized'];
  await qemuImg(['convert', '-f', 'raw', ...form, raw, join(inside, 'box-disk001.vmdk')]);
  tar(inside, ['-cf', join(job.source, 'web01.box'), '.']);
  expect(await layersOf(job, 'web01.box')).toEqual(['web01.box/box-disk001.vmdk vmdk']);
  expect((await result(job)).equals(await readFile(raw))).toBe(true);
});

test('an unpacked Vagrant box, and metadata.json of another program', async () => {
  const { job, raw } = await jobWithDisk();
  const write = async (name: string, content: string) => {
    await mkdir(dirname(join(job.source, name)), { recursive: true });
    await writeFile(join(job.source, name), content);
  };
  await write('web01/metadata.json', '{"provider":"libvirt"}');
  await qemuImg(['convert', '-f', 'raw', '-O', 'qcow2', raw, join(job.source, 'web01', 'box.img')]);
  expect(await layersOf(job, 'web01')).toEqual(['web01/box.img qcow2']);
  for (const text of ['not JSON', '[]', '{"provider":"libvirt","disks":[]}', '{"provider":7}']) {
    await write('web02/metadata.json', text);
    await copyFile(raw, join(job.source, 'web02', 'disk.raw'));
    expect(await layersOf(job, 'web02')).toEqual(['web02/disk.raw raw']);
  }
});

test('a ZIP archive of a VM’s folder, as Windows and macOS make it, and one of an OVA', async () => {
  const { job, raw, inside } = await jobWithDisk();
  const form = ['-O', 'vmdk', '-o', 'subformat=streamOptimized'];
  await qemuImg(['convert', '-f', 'raw', ...form, raw, join(inside, 'disk.vmdk')]);
  const disk = await readFile(join(inside, 'disk.vmdk'));
  await writeFile(join(inside, 'web01.ovf'), ovfText(['disk.vmdk']));
  const folder = [
    { name: 'web01/web01.ovf', content: Buffer.from(ovfText(['disk.vmdk'])) },
    { name: 'web01/disk.vmdk', content: disk },
    { name: '__MACOSX/web01/._disk.vmdk', content: Buffer.from('x') },
  ];
  await writeFile(join(job.source, 'web01.zip'), zipOf(folder));
  expect(await layersOf(job, 'web01.zip')).toEqual(['web01.zip/web01/disk.vmdk vmdk']);
  expect((await result(job)).equals(await readFile(raw))).toBe(true);
  tar(inside, ['-cf', 'web02.ova', 'web01.ovf', 'disk.vmdk']);
  const ova = [{ name: 'export/web02.ova', content: await readFile(join(inside, 'web02.ova')) }];
  await writeFile(join(job.source, 'web02.zip'), zipOf(ova));
  expect(await layersOf(job, 'web02.zip')).toEqual(['web02.zip/export/web02.ova/disk.vmdk vmdk']);
});

test('archives beside disks are no VM', async () => {
  const { job, raw, inside } = await jobWithDisk();
  await writeFile(join(inside, 'log'), 'log\n');
  await mkdir(join(job.source, 'web01'));
  await copyFile(raw, join(job.source, 'web01', 'disk.raw'));
  tar(inside, ['-czf', join(job.source, 'web01', 'logs.tar.gz'), 'log']);
  tar(inside, ['-cf', join(job.source, 'web01', 'more.tar'), 'log']);
  // VMware writes this one beside the disks for a quiesced snapshot of Windows.
  const log = [{ name: 'log', content: Buffer.from('log') }];
  await writeFile(join(job.source, 'web01', 'web01-vss_manifests1.zip'), zipOf(log));
  expect(await layersOf(job, 'web01')).toEqual(['web01/disk.raw raw']);
});
