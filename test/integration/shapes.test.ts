import { createHash, randomBytes } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JobSummary } from '../../src/api/protocol.js';
import { isErrorCode } from '../../src/errors/errno.js';
import type { Report } from '../../src/report/report.js';
import { compareImages, imageInfo } from '../../src/tools/qemu-img.js';
import { run } from '../../src/tools/run.js';
import { withFooter } from '../unit/disk/images.js';
import { ovfText } from '../unit/disk/ovf-text.js';
import { copyOf, MIB, makeRaw, qemuImg, writeImage, writeRaw } from './flatten-images.js';
import { readJson, Spool } from './support/daemon.js';

/** No multiple of any cluster or grain. */
const SIZE = 8 * MIB + 512 * 3;
const BIG = 2100 * MIB;
let staging: string;
let raw: string;
let spool: Spool;
let count = 0;

beforeAll(async () => {
  staging = mkdtempSync(join(tmpdir(), 'h2k-shapes-'));
  raw = join(staging, 'base.raw');
  await makeRaw(raw, SIZE);
  spool = await Spool.create('[watch]\nsettle_seconds = 0.6\npoll_seconds = 0.5\n');
  await spool.start();
});
afterAll(async () => {
  await spool?.destroy();
  rmSync(staging, { recursive: true, force: true });
});

/** An empty directory on the spool's filesystem, where a drop is made. */
function workshop(): string {
  const directory = join(staging, `make${count++}`);
  mkdirSync(directory);
  return directory;
}

const convert = (args: readonly string[], target: string, source = raw) =>
  qemuImg(['convert', '-f', 'raw', ...args, source, target]);

/** `all` of the files of `directory` in the given order, each renamed into incoming, with a pause between. */
async function dropLoose(
  directory: string,
  stem: string,
  options = '',
  order = readdirSync(directory),
): Promise<void> {
  writeFileSync(spool.path('incoming', `${stem}.job.toml`), `kind = "data"\n${options}`);
  for (const [index, name] of order.entries()) {
    if (index > 0) await sleep(300);
    renameSync(join(directory, name), spool.path('incoming', name));
  }
}

function dropDirectory(directory: string, name: string, options = ''): void {
  writeFileSync(join(directory, 'job.toml'), `kind = "data"\n${options}`);
  renameSync(directory, spool.path('incoming', name));
}

async function converted(vm: string): Promise<{ job: JobSummary; report: Report }> {
  const job = await spool.waitForJob((found) => found.vm === vm && found.state === 'converted', 90);
  return { job, report: await readJson<Report>(join(job.directory!, 'report.json')) };
}

/** The whole content and the size are the source's, and VALIDATE said so. */
async function expectDisks(vm: string, expected: readonly string[]): Promise<Report> {
  const { job, report } = await converted(vm);
  expect(report.disks).toHaveLength(expected.length);
  expect(report.content).toMatchObject({ verdict: 'identical' });
  expect(report.boot).toBeNull();
  for (const [index, file] of expected.entries()) {
    const disk = report.disks[index]!;
    const path = join(job.directory!, disk.file);
    const { virtualSize } = await imageInfo(path, disk.format);
    expect({ virtualSize, said: disk.virtual_size }).toEqual({
      virtualSize: statSync(file).size,
      said: statSync(file).size,
    });
    expect(await compareImages({ file, format: 'raw' }, { file: path, format: disk.format })).toBe(true);
  }
  return report;
}

describe('VMDK', () => {
  test.each([
    'monolithicSparse',
    'streamOptimized',
    'monolithicFlat',
    'twoGbMaxExtentSparse',
    'twoGbMaxExtentFlat',
  ])('%s, its files loose and in the wrong order', async (form) => {
    const directory = workshop();
    const vm = `vmdk-${form.toLowerCase()}`;
    await convert(['-O', 'vmdk', '-o', `subformat=${form}`], join(directory, `${vm}.vmdk`));
    await dropLoose(directory, vm, '', readdirSync(directory).reverse());
    await expectDisks(vm, [raw]);
  });

  test('stream-optimized with its grain directory in the footer', async () => {
    const directory = workshop();
    const file = join(directory, 'footer.vmdk');
    await convert(['-O', 'vmdk', '-o', 'subformat=streamOptimized'], file);
    writeFileSync(file, withFooter(readFileSync(file)));
    await dropLoose(directory, 'footer');
    await expectDisks('footer', [raw]);
  });

  test('ESXi’s descriptor and -flat', async () => {
    const directory = workshop();
    await convert(['-O', 'vmdk', '-o', 'subformat=monolithicFlat'], join(directory, 'esx.vmdk'));
    const text = readFileSync(join(directory, 'esx.vmdk'), 'latin1');
    const vmfs = text.replace('monolithicFlat', 'vmfs').replace(/FLAT ("[^"]*") 0/, 'VMFS $1');
    expect(vmfs).toContain('VMFS "esx-flat.vmdk"');
    writeFileSync(join(directory, 'esx.vmdk'), vmfs, 'latin1');
    await dropLoose(directory, 'esx');
    await expectDisks('esx', [raw]);
  });

  test('split into several extents: waits for the missing one and names it', async () => {
    const directory = workshop();
    const big = join(staging, 'big.raw');
    await makeRaw(big, BIG);
    await convert(['-O', 'vmdk', '-o', 'subformat=twoGbMaxExtentSparse'], join(directory, 'split.vmdk'), big);
    expect(readdirSync(directory)).toEqual(['split-s001.vmdk', 'split-s002.vmdk', 'split.vmdk']);
    await dropLoose(directory, 'split', '', ['split-s001.vmdk', 'split.vmdk']);
    const waiting = await spool.waitForJob(
      ({ drop, waiting_for }) => drop.startsWith('split') && waiting_for === 'missing split-s002.vmdk',
      10,
    );
    expect(waiting.state).toBe('waiting');
    renameSync(join(directory, 'split-s002.vmdk'), spool.path('incoming', 'split-s002.vmdk'));
    await expectDisks('split', [big]);
    rmSync(big);
  });
});

/** A chain of `depth`; every delta changes other clusters, and one that the delta before changed as well. */
async function makeChain(
  directory: string,
  stem: string,
  format: 'vmdk' | 'qcow2',
  depth: number,
): Promise<string> {
  const expected = await copyOf(raw, join(staging, `${stem}.raw`));
  let last = `${stem}.${format}`;
  await convert(['-O', format], join(directory, last));
  for (let index = 1; index < depth; index += 1) {
    const name = `${stem}-${String(index).padStart(6, '0')}.${format}`;
    await qemuImg(['create', '-q', '-f', format, '-b', last, '-F', format, name], directory);
    const writes = [
      { offset: (index % 100) * 65_536 + 4096, length: 8192, pattern: 1 + (index % 250) },
      { offset: 5 * 4096, length: 4096, pattern: 100 + index },
    ];
    await writeImage(join(directory, name), format, writes);
    await writeRaw(expected, writes);
    last = name;
  }
  return expected;
}

describe('snapshot chains: the newest state, with what each delta changed', () => {
  test.each([
    ['vmdk', 2],
    ['vmdk', 12],
    ['qcow2', 3],
    ['qcow2', 64],
  ] as const)('%s, %i deep, in a directory', async (format, depth) => {
    const directory = workshop();
    const vm = `chain-${format}-${depth}`;
    const expected = await makeChain(directory, vm, format, depth);
    dropDirectory(directory, vm);
    await expectDisks(vm, [expected]);
  });

  test('loose, the newest delta first', async () => {
    const directory = workshop();
    const expected = await makeChain(directory, 'loosechain', 'vmdk', 4);
    await dropLoose(
      directory,
      'loosechain',
      '',
      readdirSync(directory).sort().slice(0, 3).reverse().concat('loosechain.vmdk'),
    );
    await expectDisks('loosechain', [expected]);
  });

  test('the .vmx says that the VM went back to an older state', async () => {
    const directory = workshop();
    await makeChain(directory, 'back', 'vmdk', 3);
    writeFileSync(
      join(directory, 'back.vmx'),
      'displayName = "back"\nscsi0.present = "TRUE"\nscsi0:0.present = "TRUE"\nscsi0:0.fileName = "back.vmdk"\n',
    );
    dropDirectory(directory, 'back');
    await expectDisks('back', [raw]);
  });
});

describe('archives and descriptions', () => {
  /** An export of two disks with its manifest; `pack` makes other files of the disks. */
  async function makeExport(directory: string, vm: string, pack?: string) {
    const second = await copyOf(raw, join(staging, `${vm}-second.raw`));
    await writeRaw(second, [{ offset: 3 * MIB, length: 4096, pattern: 77 }]);
    let names = [`${vm}-disk1.vmdk`, `${vm}-disk2.vmdk`];
    for (const [index, source] of [raw, second].entries())
      await convert(
        ['-O', 'vmdk', '-o', 'subformat=streamOptimized'],
        join(directory, names[index]!),
        source,
      );
    let ovf = ovfText(names);
    if (pack !== undefined) {
      await run(pack, names, { cwd: directory });
      names = names.map((name) => `${name}.gz`);
      ovf = ovfText(names).replaceAll('ovf:size="1"', 'ovf:size="1" ovf:compression="gzip"');
    }
    writeFileSync(join(directory, `${vm}.ovf`), ovf);
    const files = [`${vm}.ovf`, ...names];
    const digest = (name: string) =>
      createHash('sha256')
        .update(readFileSync(join(directory, name)))
        .digest('hex');
    writeFileSync(
      join(directory, `${vm}.mf`),
      files.map((name) => `SHA256(${name})= ${digest(name)}\n`).join(''),
    );
    return { files: [`${vm}.ovf`, `${vm}.mf`, ...names], expected: [raw, second] };
  }

  test.each([
    ['ova', undefined, undefined],
    ['ova.gz', undefined, 'gzip'],
    ['ova.xz', undefined, 'xz'],
    ['ova', 'gzip', undefined],
  ] as const)('%s (members: %s)', async (ending, pack, tool) => {
    const directory = workshop();
    const vm = `export-${ending.replace('.', '-')}-${pack ?? 'plain'}`;
    const { files, expected } = await makeExport(directory, vm, pack);
    await run('tar', ['--format=ustar', '-cf', `${vm}.ova`, ...files], { cwd: directory });
    if (tool !== undefined) await run(tool, [`${vm}.ova`], { cwd: directory });
    await dropLoose(directory, vm, '', [`${vm}.${ending}`]);
    const report = await expectDisks(vm, expected);
    expect(report.hardware).toMatchObject({ name: 'web & db', memory_mib: 2048, vcpus: 4, firmware: 'uefi' });
  });

  test('OVF in a directory', async () => {
    const directory = workshop();
    const { expected } = await makeExport(directory, 'ovfdir');
    dropDirectory(directory, 'ovfdir');
    await expectDisks('ovfdir', expected);
  });

  test('VMX: the disks in the order of their controllers', async () => {
    const directory = workshop();
    const second = await copyOf(raw, join(staging, 'vmx-second.raw'));
    await writeRaw(second, [{ offset: 2 * MIB, length: 4096, pattern: 88 }]);
    await convert(['-O', 'vmdk'], join(directory, 'z-first.vmdk'));
    await convert(['-O', 'vmdk'], join(directory, 'a-second.vmdk'), second);
    writeFileSync(
      join(directory, 'two.vmx'),
      'scsi0:1.present = "TRUE"\nscsi0:1.fileName = "a-second.vmdk"\nscsi0:0.present = "TRUE"\nscsi0:0.fileName = "z-first.vmdk"\n',
    );
    dropDirectory(directory, 'two');
    await expectDisks('two', [raw, second]);
  });

  test('an OVA is not unpacked: what is written is the output', async () => {
    const directory = workshop();
    const size = 64 * MIB;
    const source = await copyOf(raw, join(staging, 'random.raw'));
    writeFileSync(source, Buffer.concat([readFileSync(raw).subarray(0, 4096), randomBytes(size - 4096)]));
    await convert(['-O', 'vmdk', '-o', 'subformat=streamOptimized'], join(directory, 'random.vmdk'), source);
    writeFileSync(join(directory, 'random.ovf'), ovfText(['random.vmdk']));
    await run('tar', ['--format=ustar', '-cf', 'random.ova', 'random.ovf', 'random.vmdk'], {
      cwd: directory,
    });
    const sampling = sampleScratch();
    await dropLoose(directory, 'random', '', ['random.ova']);
    const report = await expectDisks('random', [source]);
    const peak = await sampling.stop();
    const output = report.disks[0]!.allocated;
    expect(peak).toBeGreaterThan(0.9 * output);
    // Beside the output: overlays, report, log.
    expect(peak).toBeLessThan(1.1 * output);
    expect(report.stages.reduce((sum, { bytes_written }) => sum + bytes_written, 0)).toBeLessThan(
      1.1 * output,
    );
  });
});

/**
 * The most bytes that were on disk in the work directory beside the sources, looked at every 20 ms: what was
 * unpacked would lie there until the job's end. (/proc/PID/io does not help: bubblewrap does not hand its
 * children's counters on.)
 */
function sampleScratch(): { stop(): Promise<number> } {
  let peak = 0;
  let stopped = false;
  const loop = (async () => {
    while (!stopped) {
      peak = Math.max(peak, allocatedIn(spool.path('work')));
      await sleep(20);
    }
  })();
  return {
    async stop() {
      stopped = true;
      await loop;
      return peak;
    },
  };
}

function allocatedIn(directory: string): number {
  let sum = 0;
  for (const name of namesIn(directory)) {
    const status = statSync(join(directory, name), { throwIfNoEntry: false });
    if (status?.isDirectory() && name !== 'source') sum += allocatedIn(join(directory, name));
    if (status?.isFile()) sum += status.blocks * 512;
  }
  return sum;
}

/** Empty where it is gone already. */
function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isErrorCode(error, 'ENOENT')) return [];
    throw error;
  }
}

describe('other hypervisors', () => {
  test.each([
    ['fixed.vhd', ['-O', 'vpc', '-o', 'subformat=fixed,force_size=on']],
    ['dynamic.vhd', ['-O', 'vpc', '-o', 'force_size=on']],
    ['hyperv.vhdx', ['-O', 'vhdx']],
    ['box.vdi', ['-O', 'vdi']],
    ['old.qcow2', ['-O', 'qcow2', '-o', 'compat=0.10']],
    ['new.qcow2', ['-O', 'qcow2', '-o', 'compat=1.1,extended_l2=on']],
    ['packed.qcow2', ['-O', 'qcow2', '-c', '-o', 'compression_type=zstd']],
    ['plain.raw', ['-O', 'raw']],
    ['plain2.img', ['-O', 'raw']],
    ['plain3.dd', ['-O', 'raw']],
  ])('%s', async (name, args) => {
    const directory = workshop();
    await convert(args, join(directory, name));
    const vm = name.replace(/\..*$/, '');
    await dropLoose(directory, vm);
    await expectDisks(vm, [raw]);
  });
});

test.each([
  ['g.raw', ['-O', 'raw'], 'gzip', '.gz'],
  ['x.vmdk', ['-O', 'vmdk'], 'xz', '.xz'],
  ['z.qcow2', ['-O', 'qcow2'], 'zstd', '.zst'],
  ['v.vhd', ['-O', 'vpc', '-o', 'force_size=on'], 'gzip', '.gz'],
  ['i.vdi', ['-O', 'vdi'], 'xz', '.xz'],
])('%s compressed', async (name, args, tool, suffix) => {
  const directory = workshop();
  const vm = `packed-${name.replace(/\..*$/, '')}`;
  const file = name.replace(/^[a-z]+/, vm);
  await convert(args, join(directory, file));
  await run(tool, ['-q', file], { cwd: directory });
  await dropLoose(directory, vm, '', [`${file}${suffix}`]);
  const { job } = await converted(vm);
  await expectDisks(vm, [raw]);
  expect(readdirSync(join(job.directory!, 'source'))).toContain(`${file}${suffix}`);
});

describe('what CONVERT makes', () => {
  test.each([
    ['raw', ''],
    ['raw', 'preallocation = "falloc"\n'],
    ['vdi', ''],
    ['vdi', 'preallocation = "metadata"\n'],
    ['vmdk', ''],
    ['vmdk', 'compression = "zlib"\n'],
    ['qcow2', 'compression = "zstd"\n'],
    ['qcow2', 'preallocation = "metadata"\ncluster_size_kib = 2048\n'],
  ])('%s %s', async (format, options) => {
    const directory = workshop();
    const vm = `out${count}`;
    await convert(['-O', 'qcow2'], join(directory, `${vm}.qcow2`));
    await dropLoose(directory, vm, `[convert]\nformat = "${format}"\n${options}`, [`${vm}.qcow2`]);
    const report = await expectDisks(vm, [raw]);
    expect(report.disks[0]!.format).toBe(format);
    if (options.includes('falloc')) expect(report.disks[0]!.allocated).toBeGreaterThanOrEqual(SIZE);
  });
});
