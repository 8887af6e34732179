import { readlinkSync } from 'node:fs';
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { fetchStage } from '../../../../src/stages/fetch/index.js';
import { flattenStage } from '../../../../src/stages/flatten/index.js';
import { makeContext, makeJob, makeRaw, qemuImg } from '../../../integration/flatten-images.js';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

interface Read {
  file: string;
  start: number;
  end: number;
}

/** Every positional read of this process, by file name. */
let reads: Read[] = [];
beforeEach(async () => {
  const directory = await mkdtemp(join(tmpdir(), 'h2k-read-'));
  const handle = await open(join(directory, 'x'), 'w+');
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  await rm(directory, { recursive: true });
  const original = prototype.read;
  reads = [];
  vi.spyOn(prototype, 'read').mockImplementation(async function (this: FileHandle, ...args: unknown[]) {
    const result = await Reflect.apply(original, this, args);
    const start = args[3] as number;
    const file = basename(readlinkSync(`/proc/self/fd/${this.fd}`));
    reads.push({ file, start, end: start + result.bytesRead });
    return result;
  });
});
afterEach(() => vi.restoreAllMocks());

/** How often the bytes from `start` to `end` of a file were read, at most. */
function timesRead(file: string, start = 0, end = Number.POSITIVE_INFINITY): number {
  const edges = reads
    .filter((read) => read.file === file && read.start < end && read.end > start)
    .flatMap((read) => [
      { at: Math.max(read.start, start), change: 1 },
      { at: Math.min(read.end, end), change: -1 },
    ])
    .sort((a, b) => a.at - b.at || a.change - b.change);
  let now = 0;
  let most = 0;
  for (const { change } of edges) {
    now += change;
    most = Math.max(most, now);
  }
  return most;
}

async function fetchThenFlatten(job: Awaited<ReturnType<typeof makeJob>>, names: readonly string[]) {
  const context = makeContext(job, names);
  const fetch = fetchStage.output.parse(await fetchStage.run(context, {}));
  const fetched = reads;
  reads = [];
  await flattenStage.run(context, { fetch });
  const flattened = reads;
  reads = fetched;
  return { fetch, flattened };
}

describe('each header and each table is read once by FETCH, and never by FLATTEN', () => {
  test('a sparse VMDK of 64 GiB with all of its tables', async () => {
    const job = await makeJob();
    const { directory, tables } = await sparseVmdk(join(job.source, 'a.vmdk'), 64 * GIB);
    const { fetch, flattened } = await fetchThenFlatten(job, ['a.vmdk']);
    expect(fetch.disks[0]?.chain.layers[0]).toMatchObject({ allocated: 65_536, virtual_size: 64 * GIB });
    expect(timesRead('a.vmdk', 0, 512)).toBe(1);
    expect(timesRead('a.vmdk', directory.start, directory.end)).toBe(1);
    for (let at = tables.start; at < tables.end; at += 2048)
      expect(timesRead('a.vmdk', at, at + 2048)).toBe(1);
    expect(timesRead('a.vmdk')).toBe(1);
    expect(flattened).toEqual([]);
  });

  test.each([
    ['a.qcow2', ['-O', 'qcow2']],
    ['a.vhdx', ['-O', 'vhdx']],
    ['a.vhd', ['-O', 'vpc', '-o', 'force_size=on']],
    ['a.vdi', ['-O', 'vdi']],
    ['a.vmdk', ['-O', 'vmdk', '-o', 'subformat=streamOptimized']],
    ['a.raw', ['-O', 'raw']],
  ])('%s', async (name, args) => {
    const job = await makeJob();
    await makeRaw(join(job.work, 'base'), 16 * MIB);
    await qemuImg(['convert', '-f', 'raw', ...args, join(job.work, 'base'), join(job.source, name)]);
    const { flattened } = await fetchThenFlatten(job, [name]);
    // Small tables lie among the first bytes, which are read at once to recognise the format.
    expect(timesRead(name, 0, 512)).toBe(1);
    expect(timesRead(name)).toBeLessThanOrEqual(2);
    expect(timesRead(name, 68 * 1024)).toBeLessThanOrEqual(1);
    expect(flattened).toEqual([]);
  });

  test('a base that two disks build on', async () => {
    const job = await makeJob();
    await makeRaw(join(job.work, 'base'), 16 * MIB);
    await qemuImg(['convert', '-f', 'raw', '-O', 'qcow2', join(job.work, 'base'), 'base.qcow2'], job.source);
    for (const name of ['a.qcow2', 'b.qcow2'])
      await qemuImg(['create', '-q', '-f', 'qcow2', '-b', 'base.qcow2', '-F', 'qcow2', name], job.source);
    const handle = await open(join(job.source, 'vm.vmx'), 'w');
    await handle.write('scsi0:0.fileName = "a.qcow2"\nscsi0:1.fileName = "b.qcow2"\n');
    await handle.close();
    const { fetch } = await fetchThenFlatten(job, ['a.qcow2', 'b.qcow2', 'base.qcow2', 'vm.vmx']);
    expect(fetch.disks.map(({ chain }) => chain.layers.map(({ name }) => name))).toEqual([
      ['a.qcow2', 'base.qcow2'],
      ['b.qcow2', 'base.qcow2'],
    ]);
    expect(timesRead('base.qcow2', 68 * 1024)).toBe(1);
  });
});

/** Directory and tables are written, so that they are no holes; one grain holds an MBR. */
async function sparseVmdk(path: string, size: number) {
  const sectors = size / 512;
  const tables = sectors / 128 / 512;
  const directory = 256;
  const first = directory + Math.ceil((tables * 4) / 512);
  const grain = Math.ceil((first + tables * 4) / 128) * 128;
  const header = Buffer.alloc(512);
  header.write('KDMV');
  header.writeUInt32LE(1, 4);
  header.writeUInt32LE(1, 8);
  const fields: readonly [number, number][] = [
    [12, sectors],
    [20, 128],
    [28, 1],
    [36, 20],
    [56, directory],
    [64, grain],
  ];
  for (const [offset, value] of fields) header.writeBigUInt64LE(BigInt(value), offset);
  header.writeUInt32LE(512, 44);
  header.writeUInt32BE(0x0a200d0a, 73);
  const text = `# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicSparse"\nRW ${sectors} SPARSE "a.vmdk"\n`;
  const entries = Buffer.alloc(tables * 4);
  for (let i = 0; i < tables; i += 1) entries.writeUInt32LE(first + i * 4, i * 4);
  const content = Buffer.alloc(tables * 2048);
  content.writeUInt32LE(grain, 0);
  const mbr = Buffer.alloc(65_536);
  mbr[450] = 0x83;
  mbr.writeUInt32LE(2048, 454);
  mbr.writeUInt32LE(4096, 458);
  mbr.writeUInt16LE(0xaa55, 510);
  const handle = await open(path, 'w');
  try {
    for (const [bytes, sector] of [
      [header, 0],
      [Buffer.from(text), 1],
      [entries, directory],
      [content, first],
      [mbr, grain],
    ] as const)
      await handle.write(bytes, 0, bytes.length, sector * 512);
  } finally {
    await handle.close();
  }
  const at = (sector: number, bytes: Buffer) => ({ start: sector * 512, end: sector * 512 + bytes.length });
  return { directory: at(directory, entries), tables: at(first, content) };
}
