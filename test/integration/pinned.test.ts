import { mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { errorRecord } from '../../src/errors/error.js';
import { startQemu } from '../../src/machine/qemu.js';
import { dropPaths } from '../../src/sources/local/hold-source.js';
import { compareImages, convertImage, createImage } from '../../src/tools/qemu-img.js';
import { probeSandbox } from '../../src/tools/sandbox.js';
import { withFooter } from '../unit/disk/images.js';
import { fetchAndFlatten, MIB, makeContext, makeJob, makeRaw, qemuImg } from './flatten-images.js';

const TOKEN = 'CANARY-51d0c2-a-file-of-the-daemon';
const SIZE = 4 * MIB;
const { kind: sandbox } = await probeSandbox();

let lures: string;
let canary: string;
beforeAll(async () => {
  lures = await mkdtemp(join(tmpdir(), 'h2k-pinned-'));
  canary = join(lures, 'canary');
  await makeRaw(join(lures, 'honest.raw'), SIZE);
  const external = `data_file=${canary},data_file_raw=on,preallocation=metadata`;
  await qemuImg(['create', '-q', '-f', 'qcow2', '-o', external, join(lures, 'external'), `${SIZE}`]);
  await writeFile(canary, `${TOKEN}\n`.repeat(SIZE / TOKEN.length + 1).slice(0, SIZE));
  const backed = ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', canary, join(lures, 'backed')];
  await qemuImg(backed);
  return () => rm(lures, { recursive: true });
});

const text = (extent: string, parent = '') =>
  Buffer.from(
    `# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=${parent === '' ? 'ffffffff' : 'fffffffd'}\ncreateType="monolithicFlat"\n${parent}${extent}\n${'\0'.repeat(65_536)}`,
  );
const flatExtent = () => text(`RW ${SIZE / 512} FLAT "${canary}" 0`);

/** What takes the place of the beginning of a file that was checked. */
const HOSTILE = {
  'qcow2 with an external data file': () => readFile(join(lures, 'external')),
  'qcow2 with a backing file': () => readFile(join(lures, 'backed')),
  'a VMDK descriptor with an extent': async () => flatExtent(),
  'a VMDK descriptor with a parent': async () =>
    text(`RW ${SIZE / 512} ZERO`, `parentFileNameHint="${canary}"\n`),
} as const;
type Hostile = keyof typeof HOSTILE;

/** Honest forms of a disk, and the file in it that the dropper exchanges. */
const FORMS: Record<string, (source: string) => Promise<string>> = {
  raw: (source) => converted(source, 'raw', 'disk.raw'),
  qcow2: (source) => converted(source, 'qcow2', 'disk.qcow2'),
  vdi: (source) => converted(source, 'vdi', 'disk.vdi'),
  vhd: (source) => converted(source, 'vpc', 'disk.vhd'),
  vhdx: (source) => converted(source, 'vhdx', 'disk.vhdx'),
  'vmdk, sparse': (source) => converted(source, 'vmdk', 'disk.vmdk'),
  'vmdk, with a footer': async (source) => {
    const stream = join(lures, 'stream.vmdk');
    await qemuImg([
      'convert',
      '-O',
      'vmdk',
      '-o',
      'subformat=streamOptimized',
      join(lures, 'honest.raw'),
      stream,
    ]);
    await writeFile(join(source, 'disk.vmdk'), withFooter(await readFile(stream)));
    return 'disk.vmdk';
  },
  'vmdk, the extent of a descriptor': async (source) => {
    await converted(source, 'vmdk', 'disk.vmdk', 'subformat=twoGbMaxExtentSparse');
    return (await readdir(source)).find((name) => /-s001/.test(name))!;
  },
  'vmdk, the descriptor': async (source) => {
    await converted(source, 'vmdk', 'disk.vmdk', 'subformat=twoGbMaxExtentSparse');
    return 'disk.vmdk';
  },
};

async function converted(source: string, format: string, name: string, option?: string): Promise<string> {
  const options = option === undefined ? [] : ['-o', option];
  await qemuImg([
    'convert',
    '-f',
    'raw',
    '-O',
    format,
    ...options,
    join(lures, 'honest.raw'),
    join(source, name),
  ]);
  return name;
}

describe.runIf(sandbox === 'bubblewrap')('a header that is exchanged after the check leads nowhere', () => {
  describe.each(Object.keys(FORMS))('%s', (form) => {
    test.each(Object.keys(HOSTILE) as Hostile[])('for %s', async (hostile) => {
      const job = await makeJob();
      const name = await FORMS[form]!(job.source);
      const context = makeContext(job, await readdir(job.source));
      const { disks } = await fetchAndFlatten(context);
      const image = join(job.work, disks[0]!.image);
      const bytes = await HOSTILE[hostile]();
      const file = await open(join(job.source, name), 'r+');
      await file.write(bytes, 0, bytes.length, 0);
      await file.close();

      const sees = dropPaths(context.source);
      const target = join(job.work, 'out.raw');
      const opened = await convertImage(
        { source: image, sourceFormat: 'qcow2', target, targetFormat: 'raw' },
        { sees },
      ).then(
        () => true,
        () => false,
      );
      if (opened) expect((await readFile(target)).includes(TOKEN)).toBe(false);
      const same = compareImages(
        { file: image, format: 'qcow2' },
        { file: image, format: 'qcow2' },
        { sees },
      );
      await same.catch(() => false);
      expect(await filesOfQemu(image, job.work, sees)).not.toContain(canary);
    });
  });
});

/**
 * The files that a QEMU opens which builds on the flat disk, as the appliance's does; none when it cannot.
 */
async function filesOfQemu(image: string, work: string, sees: string[]): Promise<string[]> {
  const overlay = join(work, 'overlay.qcow2');
  const backing = { file: image, format: 'qcow2' };
  const signal = new AbortController().signal;
  const disk = { driver: 'qcow2', 'node-name': 'disk', file: { driver: 'file', filename: overlay } };
  try {
    await createImage({ file: overlay, format: 'qcow2', backing }, { sees });
    const args = ['-machine', 'none', '-blockdev', JSON.stringify(disk)];
    const qemu = await startQemu({
      program: 'qemu-system-x86_64',
      args,
      readable: sees,
      writable: [work],
      signal,
    });
    try {
      const nodes = (await qemu.qmp.execute('query-named-block-nodes')) as { drv: string; file: string }[];
      return nodes.filter(({ drv }) => drv === 'file').map(({ file }) => file);
    } finally {
      await qemu.stop();
    }
  } catch (error) {
    if (['tool.failed', 'qemu.start', 'qmp.closed'].includes(errorRecord(error).code)) return [];
    throw error;
  }
}
