import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sha256File } from '../../src/files/digest.js';
import type { Report } from '../../src/report/report.js';
import { run } from '../../src/tools/run.js';
import { cli } from '../integration/support/cli.js';
import { processesNaming } from '../integration/support/daemon.js';
import { formOf } from '../lab/forms.ts';
import { buildGuest } from '../lab/guest.ts';
import { layOut, partitionAt } from '../lab/layout.ts';
import { RECIPES } from '../lab/recipes.ts';

let directory: string;
let output: string;
/** The commands' own temporary files: whatever is in there afterwards was left behind. */
let temporary: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'h2k-cc-'));
  output = join(directory, 'out');
  temporary = join(directory, 'tmp');
  await mkdir(join(directory, 'in'));
  await mkdir(temporary);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const env = () => ({ TMPDIR: temporary });

/** A data disk with something in it: no guest, so neither appliance nor boot. */
async function dataDisk(name: string): Promise<string> {
  const file = join(directory, 'in', `${name}.raw`);
  const content = Buffer.concat([randomBytes(3 * 1024 * 1024), Buffer.alloc(5 * 1024 * 1024)]);
  await writeFile(file, content);
  await writeFile(
    join(directory, 'in', `${name}.job.toml`),
    'kind = "data"\n[convert]\ncompression = "zstd"\n',
  );
  return file;
}

describe('convert of a data disk', () => {
  test('writes the bundle, reads the job.toml beside it, and leaves the source where it is', async () => {
    const disk = await dataDisk('db');
    const before = await sha256File(disk);
    const { code, out, err } = await cli(['convert', disk, '-o', output], { env: env() });
    expect({
      code,
      err: err
        .split('\n')
        .filter((line) => line.startsWith('✓'))
        .map((line) => line.split(/ +/)[1]),
    }).toEqual({
      code: 0,
      err: ['fetch', 'flatten', 'convert', 'validate'],
    });
    expect(out).toContain(`bundle  ${output}/db\n`);
    expect(await readdir(output)).toEqual(['db']);
    expect((await readdir(join(output, 'db'))).sort()).toEqual([
      'SHA256SUMS',
      'db-disk0.qcow2',
      'job.log',
      'report.html',
      'report.json',
    ]);
    await run('sha256sum', ['--quiet', '--strict', '-c', 'SHA256SUMS'], { cwd: join(output, 'db') });
    await run('qemu-img', [
      'compare',
      '-f',
      'raw',
      '-F',
      'qcow2',
      disk,
      join(output, 'db', 'db-disk0.qcow2'),
    ]);
    expect(await sha256File(disk)).toBe(before);
    expect(await readdir(temporary)).toEqual([]);
  });

  test('--json prints the report and nothing else', async () => {
    const { code, out, err } = await cli(['convert', await dataDisk('db'), '-o', output, '--json'], {
      env: env(),
    });
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const { directory: bundle, report } = JSON.parse(out) as { directory: string; report: Report };
    expect(bundle).toBe(join(output, 'db'));
    expect(report).toMatchObject({ vm: 'db', verdict: 'converted', kind: 'data', boot: null, error: null });
    expect(report.disks[0]).toMatchObject({ file: 'db-disk0.qcow2', virtual_size: 8 * 1024 * 1024 });
  });

  test('refuses a result that exists, before it begins', async () => {
    const disk = await dataDisk('db');
    await mkdir(join(output, 'db'), { recursive: true });
    const { code, err } = await cli(['convert', disk, '-o', output], { env: env() });
    expect(code).toBe(2);
    expect(err).toContain(`usage.invalid: ${output}/db exists already`);
    expect(await readdir(output)).toEqual(['db']);
  });

  test('--set goes over the job.toml', async () => {
    const disk = await dataDisk('db');
    const { code } = await cli(
      ['convert', disk, '-o', output, '--set', 'convert.format=raw', '--set', 'vm.name=other'],
      {
        env: env(),
      },
    );
    expect(code).toBe(0);
    expect(await readdir(join(output, 'other'))).toContain('other-disk0.raw');
    expect(await sha256File(join(output, 'other', 'other-disk0.raw'))).toBe(await sha256File(disk));
  });
});

test('a text file that is named x.vmdk fails with the reason kept, and nothing else left', async () => {
  const disk = join(directory, 'in', 'x.vmdk');
  await writeFile(disk, 'Dear colleague,\nplease find attached nothing.\n');
  const { code, out, err } = await cli(['convert', disk, '-o', output], { env: env() });
  expect(code).toBe(1);
  expect(out).toBe('');
  expect(err).toMatch(/^hyper2kvm: fetch\.[a-z-]+: /m);
  const [left, ...more] = await readdir(output);
  expect(left).toMatch(/^x-failed-[0-9a-z]{13}$/);
  expect(more).toEqual([]);
  const reason = JSON.parse(await readFile(join(output, left!, 'reason.json'), 'utf8'));
  expect(reason).toMatchObject({ vm: 'x', stage: 'fetch', code: expect.stringMatching(/^fetch\./) });
  expect(reason.advice).not.toBe('');
  expect(await readFile(disk, 'utf8')).toContain('Dear colleague');
});

interface Operation {
  op: string;
  path?: string;
  reason: string;
}

async function plan(drop: string): Promise<Operation[]> {
  const { out } = await cli(['plan', drop, '--json'], { env: env() });
  return (JSON.parse(out) as { operations: Operation[] }).operations;
}

describe('a real guest', () => {
  let disk: string;
  /** Of the guest as it is. */
  let planned: Operation[] = [];
  beforeEach(async () => {
    const guest = await buildGuest(RECIPES['bookworm-bios']);
    disk = await formOf(guest.image, 'monolithicSparse', join(directory, 'in'), { name: 'web01' });
  });

  test('is planned twice the same, with nothing changed and nothing left', async () => {
    const before = { sha256: await sha256File(disk), mtime: (await stat(disk)).mtimeMs };
    const shown = await cli(['plan', disk], { env: env() });
    expect(shown.code).toBe(0);
    expect(shown.out).toMatch(/^change \/etc\/fstab$/m);
    expect(shown.out).toMatch(/^-\/dev\/disk\/by-path\/.*part\d/m);
    expect(shown.out).toMatch(/^\+UUID=[0-9a-f-]{36}\t?/m);
    planned = await plan(disk);
    expect(shown.out).toContain(`${planned.length} operations; disks on virtio`);
    for (const { reason } of planned) expect(shown.out).toContain(reason);
    expect({ sha256: await sha256File(disk), mtime: (await stat(disk)).mtimeMs }).toEqual(before);
    expect(await readdir(join(directory, 'in'))).toEqual(['web01.vmdk']);
    expect(await readdir(temporary)).toEqual([]);
  });

  test('with a /lib of its own, as Debian 11 and Ubuntu 18.04 may have, is inspected, and has the same plan', async () => {
    const { image } = await buildGuest(RECIPES['bookworm-bios']);
    const split = join(directory, 'in', 'split.raw');
    await run('cp', ['--sparse=always', image, split]);
    const { offset } = partitionAt(layOut(RECIPES['bookworm-bios']), '/');
    const moves = ['systemd', 'modules', 'udev'].map(
      (name) => `ln /usr/lib/${name} /lib/${name}\nunlink /usr/lib/${name}`,
    );
    const input = `unlink /lib\nmkdir /lib\n${moves.join('\n')}\n`;
    await run('debugfs', ['-w', '-f', '-', `${split}?offset=${offset}`], { input });
    const { code, out, err } = await cli(['inspect', split, '--json'], { env: env() });
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(JSON.parse(out)).toMatchObject({
      os_type: 'linux',
      os_distro: 'debian',
      os_version: expect.stringMatching(/^12/),
      firmware: 'bios',
      bootloader: 'grub2',
      initramfs_tool: 'initramfs-tools',
      init_system: 'systemd',
      kernels: [{ modules: expect.stringMatching(/^\/lib\/modules\//) }],
    });
    const summary = (operations: readonly Operation[]) => operations.map(({ op, path }) => `${op} ${path}`);
    expect(planned).not.toEqual([]);
    expect(summary(await plan(split))).toEqual(summary(planned));
    expect(await readdir(temporary)).toEqual([]);
  });

  test('SIGINT during INSPECT ends convert in seconds, with no process and no scratch left', async () => {
    let interrupted = 0;
    const ended = await cli(['convert', disk, '-o', output], {
      env: env(),
      onOutput({ err }, kill) {
        if (interrupted > 0 || !err.includes('  inspect …')) return;
        interrupted = performance.now();
        setTimeout(() => kill('SIGINT'), 2_000);
      },
    });
    expect(interrupted).toBeGreaterThan(0);
    expect(performance.now() - interrupted).toBeLessThan(12_000);
    expect(ended.code).toBe(1);
    expect(ended.err).toContain('job.cancelled');
    expect(await readdir(output)).toEqual([]);
    expect(await readdir(temporary)).toEqual([]);
    expect(await processesNaming(directory)).toEqual([]);
  });
});
