import { mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../src/tools/run.js';
import { cli } from '../integration/support/cli.js';
import { buildAlpine } from '../lab/alpine.ts';

const UFS2_MAGIC = 0x19540119;
/** Of the superblock in a UFS2 (sys/ufs/ffs/fs.h: SBLOCK_UFS2), and of its magic number there. */
const UFS2_SUPERBLOCK = 65_536;
const MAGIC_OFFSET = 1372;
const MIB = 1024 ** 2;

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'h2k-as-is-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** FreeBSD by its partitions; nothing in it starts. */
async function freebsd(): Promise<string> {
  const disk = join(directory, 'fw01.raw');
  await writeFile(disk, '');
  await truncate(disk, 64 * MIB);
  const table =
    'label: gpt\nsize=512KiB, type=83BD6B9D-7F41-11DC-BE0B-001560B84F0F\ntype=516E7CB6-6ECF-11D6-8FF8-00022D09712B\n';
  await run('sfdisk', ['-q', disk], { input: table });
  const { partitiontable } = JSON.parse(String((await run('sfdisk', ['-J', disk])).stdout));
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(UFS2_MAGIC);
  const file = await open(disk, 'r+');
  await file.write(magic, 0, 4, partitiontable.partitions[1].start * 512 + UFS2_SUPERBLOCK + MAGIC_OFFSET);
  await file.close();
  return disk;
}

test('FreeBSD is named, refused with the way out, and then converted as it is', async () => {
  const disk = await freebsd();
  const inspected = await cli(['inspect', disk, '--json']);
  expect(JSON.parse(inspected.out), inspected.err).toMatchObject({
    os_type: 'freebsd',
    os_name: 'FreeBSD',
    firmware: 'bios',
  });
  const config = join(directory, 'config.toml');
  await writeFile(config, '[fix]\nmode = "none"\n[validate]\nenabled = false\n');
  const out = join(directory, 'out');
  const ended = await cli(['convert', disk, '-o', out, '--config', config]);
  expect(ended.code, ended.out + ended.err).toBe(0);
  const report = JSON.parse(await readFile(join(out, 'fw01', 'report.json'), 'utf8'));
  expect(report.plan.operations ?? report.plan).toEqual([]);
  const domain = await readFile(join(out, 'fw01', 'fw01.xml'), 'utf8');
  expect(domain).toContain("bus='sata'");
  expect(domain).toContain("<model type='e1000'/>");
  const delivered = join(out, 'fw01', 'fw01-disk0.qcow2');
  await run('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', disk, delivered]);
});

test('a real Alpine without virtio in its initramfs is converted as it is, and boots from SATA', async () => {
  const { image, memoryMib } = await buildAlpine();
  const config = join(directory, 'alpine.toml');
  await writeFile(config, `[fix]\nmode = "none"\n[validate]\nmemory_mib = ${memoryMib}\n`);
  const flat = join(directory, 'alpine.raw');
  await run('qemu-img', ['convert', '-f', 'raw', '-O', 'raw', image, flat]);
  const out = join(directory, 'out');
  const ended = await cli(['convert', flat, '-o', out, '--config', config]);
  expect(ended.code, ended.out + ended.err).toBe(0);
  const report = JSON.parse(await readFile(join(out, 'alpine', 'report.json'), 'utf8'));
  expect(report.boot).toMatchObject({ verdict: 'booted', level: 'login' });
  await run('qemu-img', [
    'compare',
    '-f',
    'raw',
    '-F',
    'qcow2',
    flat,
    join(out, 'alpine', 'alpine-disk0.qcow2'),
  ]);
});
