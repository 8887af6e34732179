import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import {
  chmod,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { assembleBundle, type BundleRequest, writeFailure } from '../../../src/report/bundle.js';
import { digestSource } from '../../../src/sources/local/digest-source.js';
import { listSource, sourceId } from '../../../src/sources/local/list-source.js';
import { run } from '../../../src/tools/run.js';
import {
  FINISHED,
  STARTED,
  sampleBoot,
  sampleConvert,
  sampleOptions,
  sampleOutputs,
  sampleRecords,
} from './sample.js';

/** A 1×1 PNG: a real picture, so the page's data URI is one. */
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=',
  'base64',
);
const DISK = Buffer.from('the converted disk');

let root: string;
let request: BundleRequest;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'h2k-bundle-'));
  const work = join(root, 'work');
  await mkdir(join(work, 'source', 'web01 dir'), { recursive: true });
  await mkdir(join(work, 'out'));
  await mkdir(join(work, 'boot'));
  await writeFile(join(work, 'source', 'web01.vmdk'), 'the dropped disk');
  await writeFile(join(work, 'source', 'web01 dir', 'odd\\name\nhere.vmx'), 'memsize = 4096');
  await writeFile(join(work, 'out', 'web01-disk0.qcow2'), DISK);
  await writeFile(join(work, 'plan.json'), '{}\n');
  await writeFile(join(work, 'plan.diff'), '--- a\n');
  const boot = {
    ...sampleBoot,
    screens: [{ file: 'screen-login.png', at_seconds: 58.2, level: 'login' as const }],
  };
  await writeFile(join(work, 'boot', 'boot.json'), JSON.stringify(boot));
  await writeFile(
    join(work, 'boot', 'serial.log'),
    '\u001b[0;32mOK\u001b[0m <script>alert(1)</script>\r\nweb01 login:',
  );
  await writeFile(join(work, 'boot', 'screen-login.png'), PNG);
  const sha256 = createHash('sha256').update(DISK).digest('hex');
  request = {
    job: 'k3x9',
    vm: 'web01',
    workDirectory: work,
    bundleDirectory: join(work, 'bundle'),
    finalDirectory: '/var/spool/hyper2kvm/archive/2026-05-04/web01-k3x9',
    options: sampleOptions(),
    outputs: {
      ...sampleOutputs(),
      convert: { disks: [{ ...sampleConvert.disks[0], sha256 }] },
      validate: { boot, directory: 'boot' },
    },
    records: sampleRecords(),
    startedAt: STARTED,
    finishedAt: FINISHED,
    source: { directory: join(work, 'source'), entries: ['web01 dir', 'web01.vmdk'] },
    keepSource: 'archive',
    sourceId: null,
  };
});
afterEach(() => rm(root, { recursive: true, force: true }));

const verify = (directory: string) =>
  run('sha256sum', ['-c', '--strict', '--quiet', 'SHA256SUMS'], { cwd: directory });

describe('assembleBundle', () => {
  test('builds every file of the contract, and sha256sum accepts the list', async () => {
    const report = await assembleBundle(request);
    expect((await readdir(request.bundleDirectory)).sort()).toEqual([
      'SHA256SUMS',
      'boot',
      'plan.diff',
      'plan.json',
      'report.html',
      'report.json',
      'source',
      'web01-disk0.qcow2',
      'web01.xml',
    ]);
    await verify(request.bundleDirectory);
    const lines = (await readFile(join(request.bundleDirectory, 'SHA256SUMS'), 'utf8')).trimEnd().split('\n');
    expect(lines).toHaveLength(11);
    expect(report.verdict).toBe('converted');
    expect(JSON.parse(await readFile(join(request.bundleDirectory, 'report.json'), 'utf8'))).toEqual(
      JSON.parse(JSON.stringify(report)),
    );
  });

  test('moves disks and source, copies nothing', async () => {
    const disk = (await stat(join(request.workDirectory, 'out', 'web01-disk0.qcow2'))).ino;
    const source = (await stat(join(request.source.directory, 'web01.vmdk'))).ino;
    await assembleBundle(request);
    expect((await stat(join(request.bundleDirectory, 'web01-disk0.qcow2'))).ino).toBe(disk);
    expect((await stat(join(request.bundleDirectory, 'source', 'web01.vmdk'))).ino).toBe(source);
  });

  const read = async () => sourceId(await listSource(request.source.directory, request.source.entries));

  test('refuses a drop that is not the one that was converted, whatever time it shows', async () => {
    const disk = join(request.source.directory, 'web01.vmdk');
    const id = await read();
    await assembleBundle({ ...request, sourceId: id, keepSource: 'leave' });
    const { atime, mtime } = await stat(disk);
    await writeFile(disk, 'the dropped dusk');
    await utimes(disk, atime, mtime);
    await expect(assembleBundle({ ...request, sourceId: id })).rejects.toMatchObject({
      code: 'source.changed',
    });
    expect(await readdir(request.source.directory)).toContain('web01.vmdk');
  });

  test('lists a drop by the digests that CONVERT made, and does not read it again', async () => {
    const source = [{ path: 'web01.vmdk', size: 16, sha256: 'c0ffee'.padEnd(64, '0') }];
    const convert = { disks: sampleConvert.disks, source };
    const outputs = { ...request.outputs, convert };
    const report = await assembleBundle({ ...request, outputs, sourceId: await read() });
    expect(report.source).toEqual(source);
    expect(await readFile(join(request.bundleDirectory, 'SHA256SUMS'), 'utf8')).toContain(
      `${source[0]?.sha256}  source/web01.vmdk\n`,
    );
  });

  test('refuses a drop that is written to while it is digested', async () => {
    const { signal } = new AbortController();
    const isAborted = vi.spyOn(signal, 'throwIfAborted');
    // Each piece that is digested asks.
    isAborted.mockImplementation(() => writeFileSync(join(request.source.directory, 'web01.vmdk'), 'x'));
    const late = assembleBundle({ ...request, sourceId: await read(), signal });
    await expect(late).rejects.toMatchObject({ code: 'source.changed' });
  });

  test('refuses a drop that has not the content of the copy that was read', async () => {
    const id = await read();
    const copy = join(request.workDirectory, `private-source-${id}`);
    await cp(request.source.directory, copy, { recursive: true });
    const { entries } = request.source;
    const convert = { disks: sampleConvert.disks, source: await digestSource({ directory: copy, entries }) };
    const job = { ...request, sourceId: id, outputs: { ...request.outputs, convert } };
    await assembleBundle({ ...job, keepSource: 'leave' });
    // As of a file that its owner has mapped: it has changed, and its ctime has not.
    await writeFile(join(copy, 'web01.vmdk'), 'the dropped dusk');
    convert.source = await digestSource({ directory: copy, entries });
    await expect(assembleBundle(job)).rejects.toMatchObject({ code: 'source.changed' });
  });

  test('the boot evidence can be read by whoever may enter the bundle', async () => {
    await chmod(join(request.workDirectory, 'boot'), 0o700);
    await chmod(join(request.workDirectory, 'boot', 'serial.log'), 0o600);
    await assembleBundle(request);
    expect((await stat(join(request.bundleDirectory, 'boot'))).mode & 0o777).toBe(0o755);
    expect((await stat(join(request.bundleDirectory, 'boot', 'serial.log'))).mode & 0o777).toBe(0o644);
  });

  test('a changed byte of a disk or of the source is noticed by its digest', async () => {
    await assembleBundle(request);
    await writeFile(join(request.bundleDirectory, 'source', 'web01.vmdk'), 'the dropped dusk');
    await expect(verify(request.bundleDirectory)).rejects.toThrow(/sha256sum exited with code 1/);
  });

  test('after a kill at any point of the moves, a second call gives the same bundle', async () => {
    await assembleBundle(request);
    const sums = await readFile(join(request.bundleDirectory, 'SHA256SUMS'), 'utf8');
    const html = await readFile(join(request.bundleDirectory, 'report.html'));
    const moved = ['web01-disk0.qcow2', 'plan.json', 'plan.diff', 'boot', 'source'];
    const homes = ['out/web01-disk0.qcow2', 'plan.json', 'plan.diff', 'boot', 'source'];
    for (let done = 0; done <= moved.length; done++) {
      for (const [index, name] of moved.entries()) {
        if (index < done) continue;
        await rename(join(request.bundleDirectory, name), join(request.workDirectory, homes[index]!));
      }
      if (done === moved.length) await mkdir(request.source.directory);
      await assembleBundle(request);
      expect(await readFile(join(request.bundleDirectory, 'SHA256SUMS'), 'utf8')).toBe(sums);
      expect(await readFile(join(request.bundleDirectory, 'report.html'))).toEqual(html);
      await verify(request.bundleDirectory);
    }
  }, 20_000);

  test('refuses to empty a bundle directory that holds a source when the job has one too', async () => {
    await mkdir(join(request.bundleDirectory, 'source'), { recursive: true });
    await writeFile(join(request.bundleDirectory, 'source', 'other.vmdk'), 'x');
    await expect(assembleBundle(request)).rejects.toMatchObject({ code: 'report.source-twice' });
    expect(await readFile(join(request.bundleDirectory, 'source', 'other.vmdk'), 'utf8')).toBe('x');
  });

  test('leaves the source where it is when it is to be left', async () => {
    const report = await assembleBundle({ ...request, keepSource: 'leave' });
    expect(await readdir(request.bundleDirectory)).not.toContain('source');
    expect(await readdir(request.source.directory)).toEqual(['web01 dir', 'web01.vmdk']);
    expect(report.source).toEqual([
      expect.objectContaining({ path: 'web01 dir/odd\\name\nhere.vmx' }),
      expect.objectContaining({ path: 'web01.vmdk' }),
    ]);
    await verify(request.bundleDirectory);
  });

  test('a data disk has no domain', async () => {
    const { fetch, convert } = request.outputs;
    await assembleBundle({
      ...request,
      options: sampleOptions({ kind: 'data' }),
      outputs: { fetch, convert },
    });
    expect(await readdir(request.bundleDirectory)).not.toContain('web01.xml');
  });

  test('the page shows the serial log as text, never as markup', async () => {
    await assembleBundle(request);
    const html = await readFile(join(request.bundleDirectory, 'report.html'), 'utf8');
    expect(html).not.toContain('<script');
    expect(html).toContain('OK &lt;script&gt;alert(1)&lt;/script&gt;\nweb01 login:');
    expect(html).toContain(`data:image/png;base64,${PNG.toString('base64')}`);
  });
});

describe('writeFailure', () => {
  const error = {
    code: 'validate.initramfs-shell',
    message: 'the guest stopped in its initramfs',
    advice: 'Look at boot/serial.log.',
    retryable: false,
    causes: [],
  };
  const failure = () => {
    const { validate: _, ...outputs } = request.outputs;
    return {
      ...request,
      outputs,
      failedDirectory: join(root, 'failed'),
      error,
      failedStage: 'validate',
    };
  };

  test('explains the failure, with the boot evidence, and leaves the source to the caller', async () => {
    const boot = { ...sampleBoot, verdict: 'failed', screens: [] };
    const outputs = { ...request.outputs, validate: { boot, directory: 'boot' } };
    const report = await writeFailure({ ...failure(), outputs });
    expect((await readdir(join(root, 'failed'))).sort()).toEqual([
      'boot',
      'plan.diff',
      'plan.json',
      'reason.json',
      'report.html',
      'report.json',
    ]);
    expect(report).toMatchObject({
      verdict: 'failed',
      failed_stage: 'validate',
      disks: [],
      boot: { verdict: 'failed', level: 'login' },
    });
    const reason = JSON.parse(await readFile(join(root, 'failed', 'reason.json'), 'utf8'));
    expect(reason).toMatchObject({ job: 'k3x9', stage: 'validate', ...error });
    expect(reason.what_to_do).toContain('hyper2kvm retry k3x9');
    expect(await readdir(request.source.directory)).toEqual(['web01 dir', 'web01.vmdk']);
  });

  test('brings back what an interrupted bundle had moved', async () => {
    await assembleBundle(request);
    await writeFailure(failure());
    expect(await readdir(request.source.directory)).toEqual(['web01 dir', 'web01.vmdk']);
    expect(await readFile(join(request.workDirectory, 'out', 'web01-disk0.qcow2'))).toEqual(DISK);
  });
});
