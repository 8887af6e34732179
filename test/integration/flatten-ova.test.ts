import { createHash } from 'node:crypto';
import { appendFile, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fetchStage } from '../../src/stages/fetch/index.js';
import { compareImages, imageInfo } from '../../src/tools/qemu-img.js';
import { run } from '../../src/tools/run.js';
import { withFooter } from '../unit/disk/images.js';
import { ovfText } from '../unit/disk/ovf-text.js';
import { fetchAndFlatten, MIB, makeContext, makeJob, makeRaw, qemuImg } from './flatten-images.js';

const SIZE = 6 * MIB;

/**
 * An export of two disks, one with its directory in the footer, in `source/`; the originals are in the job's
 * directory.
 */
async function makeExport() {
  const job = await makeJob();
  const names = ['web01-disk1.vmdk', 'web01-disk2.vmdk'];
  for (const [index, name] of names.entries()) {
    const raw = join(job.work, `${index}.raw`);
    await makeRaw(raw, SIZE + index * MIB);
    await qemuImg([
      'convert',
      '-f',
      'raw',
      '-O',
      'vmdk',
      '-o',
      'subformat=streamOptimized',
      raw,
      join(job.source, name),
    ]);
  }
  await writeFile(join(job.source, names[0]!), withFooter(await readFile(join(job.source, names[0]!))));
  await writeFile(join(job.source, 'web01.ovf'), ovfText(names));
  const digests: string[] = [];
  for (const name of ['web01.ovf', ...names])
    digests.push(
      `SHA256(${name})= ${createHash('sha256')
        .update(await readFile(join(job.source, name)))
        .digest('hex')}\n`,
    );
  await writeFile(join(job.source, 'web01.mf'), digests.join(''));
  return { job, files: ['web01.ovf', 'web01.mf', ...names] };
}

async function pack(source: string, files: readonly string[]): Promise<string> {
  await run('tar', ['--format=ustar', '-cf', 'web01.ova', ...files], { cwd: source });
  for (const file of files) await rm(join(source, file));
  return join(source, 'web01.ova');
}

async function expectSame(job: { work: string }): Promise<void> {
  for (const index of [0, 1]) {
    const [expected, image] = [join(job.work, `${index}.raw`), join(job.work, `flat-disk${index}.qcow2`)];
    expect(await compareImages({ file: expected, format: 'raw' }, { file: image, format: 'qcow2' })).toBe(
      true,
    );
  }
}

describe('an OVA', () => {
  test('is read in place: both disks, hardware, nothing unpacked', async () => {
    const { job, files } = await makeExport();
    const ova = await pack(job.source, files);
    const context = makeContext(job, ['web01.ova']);
    const fetched = await fetchStage.run(context, {});
    expect(fetched).toMatchObject({
      disks: [
        {
          chain: { layers: [{ name: 'web01.ova/web01-disk1.vmdk', format: 'vmdk' }] },
          controller: 'scsi0:0',
        },
        {
          chain: { layers: [{ name: 'web01.ova/web01-disk2.vmdk', format: 'vmdk' }] },
          controller: 'scsi0:1',
        },
      ],
      hardware: { name: 'web & db', memory_mib: 2048, vcpus: 4, firmware: 'uefi' },
    });
    const { disks } = await fetchAndFlatten(context);
    expect(disks.map(({ virtual_size }) => virtual_size)).toEqual([SIZE, SIZE + MIB]);
    await expectSame(job);
    for (const { image } of disks) {
      expect((await stat(join(job.work, image))).size).toBeLessThan(512 * 1024);
      const { backing } = await imageInfo(join(job.work, image), 'qcow2');
      expect(backing!.file).toContain(`"filename":"${ova}"`);
    }
  });

  test('cut, changed inside, or with a lying manifest', async () => {
    const { job, files } = await makeExport();
    const ova = await pack(job.source, files);
    const whole = await readFile(ova);
    const run = () => fetchStage.run(makeContext(job, ['web01.ova']), {});
    await truncate(ova, Math.floor(whole.length / 2));
    await expect(run()).rejects.toMatchObject({ code: 'fetch.truncated' });
    const changed = Buffer.from(whole);
    changed.write('WEB', changed.indexOf('web &amp; db'));
    await writeFile(ova, changed);
    await expect(run()).rejects.toMatchObject({
      code: 'fetch.digest-mismatch',
      message: expect.stringContaining('web01.ovf'),
    });
  });

  test('without one of its disks', async () => {
    const { job, files } = await makeExport();
    await pack(job.source, files.slice(0, 3));
    await expect(fetchStage.run(makeContext(job, ['web01.ova']), {})).rejects.toMatchObject({
      code: 'fetch.missing-disk',
      message: expect.stringContaining('web01-disk2.vmdk'),
    });
  });

  test('that is none', async () => {
    const { job } = await makeExport();
    await writeFile(join(job.source, 'x.ova'), 'hello '.repeat(200));
    await expect(fetchStage.run(makeContext(job, ['x.ova']), {})).rejects.toMatchObject({
      code: 'fetch.corrupt',
    });
  });
});

describe('an OVF with its disks', () => {
  test('as loose files and with an extra file beside it', async () => {
    const { job, files } = await makeExport();
    await fetchAndFlatten(makeContext(job, files));
    await expectSame(job);
  });

  test('a disk that is not the one of the manifest', async () => {
    const { job, files } = await makeExport();
    const disk = join(job.source, 'web01-disk2.vmdk');
    await appendFile(disk, Buffer.alloc(512));
    await expect(fetchStage.run(makeContext(job, files), {})).rejects.toMatchObject({
      code: 'fetch.digest-mismatch',
      message: expect.stringContaining(basename(disk)),
    });
    await rename(join(job.source, 'web01.mf'), join(job.work, 'web01.mf'));
    const fetched = await fetchStage.run(
      makeContext(
        job,
        files.filter((name) => name !== 'web01.mf'),
      ),
      {},
    );
    expect(fetched.disks).toHaveLength(2);
  });
});
