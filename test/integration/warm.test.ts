import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { StageContext } from '../../src/engine/stage.js';
import { commitAreas } from '../../src/stages/convert/commit-areas.js';
import { run } from '../../src/tools/run.js';
import { readJson, Spool } from './support/daemon.js';

const WARM_DATA = 'kind = "data"\nwarm = true\n';
const MIB = 1024 * 1024;

let spool: Spool;
afterEach(() => spool?.destroy());

const qemuImg = (...args: string[]) => run('qemu-img', args, { cwd: spool.directory });
const qemuIo = (file: string, ...commands: string[]) =>
  run('qemu-io', [...commands.flatMap((one) => ['-c', one]), file], { cwd: spool.directory });

/** Moves files of the spool's directory into incoming at once, as one directory. */
function dropDirectory(name: string, files: readonly string[], jobToml?: string): void {
  mkdirSync(spool.path(`${name}.new`));
  for (const file of files) renameSync(spool.path(file), spool.path(`${name}.new`, file));
  if (jobToml !== undefined) writeFileSync(spool.path(`${name}.new`, 'job.toml'), jobToml);
  renameSync(spool.path(`${name}.new`), spool.path('incoming', name));
}

interface ReportedStage {
  stage: string;
  status: string;
  bytes_written: number;
}
const stageOf = async (bundle: string, name: string) =>
  (await readJson<{ stages: ReportedStage[] }>(join(bundle, 'report.json'))).stages.find(
    ({ stage }) => stage === name,
  )!;

/** A base of 64 MiB with data in 48, a delta of eight clusters apart, and both together as they should be delivered. */
async function vmdkWithDelta(): Promise<void> {
  await qemuImg('create', '-q', '-f', 'vmdk', '-o', 'subformat=monolithicFlat', 'web01.vmdk', '64M');
  await qemuIo('web01.vmdk', 'write -q -P 1 0 48M');
  await qemuImg('create', '-q', '-f', 'vmdk', '-b', 'web01.vmdk', '-F', 'vmdk', 'web01-000001.vmdk');
  const writes = Array.from({ length: 8 }, (_, index) => `write -q -P ${index + 2} ${index * 7 * 1024}k 64k`);
  await qemuIo('web01-000001.vmdk', ...writes);
  await qemuImg('convert', '-f', 'vmdk', '-O', 'raw', 'web01-000001.vmdk', 'expected.raw');
}

describe('a warm job whose daemon is killed at each of its steps', () => {
  it('writes onto the base only what changed since, and delivers what the VM had at its cutover', async () => {
    spool = await Spool.create();
    await vmdkWithDelta();
    dropDirectory('web01', ['web01.vmdk', 'web01-flat.vmdk'], WARM_DATA);
    await spool.start({ HYPER2KVM_FAILPOINT: 'warm.before-park' }, { expectDeath: true });
    await spool.died(60);
    await spool.start({ HYPER2KVM_FAILPOINT: 'warm.delta-moving' });
    const parked = await spool.waitForJob(({ state }) => state === 'parked', 60);
    expect(parked.waiting_for).toMatch(/^warm, base of \d{4}-\d\d-\d\d \d\d:\d\d UTC$/);
    expect((await spool.status()).jobs).toMatchObject({ parked: 1, queued: 0 });
    const copy = statSync(spool.path('work', parked.job, 'warm', 'disk0.qcow2'));

    dropDirectory('web01', ['web01-000001.vmdk']);
    await spool.died(60);
    for (const failpoint of ['warm.delta-moved', 'warm.committing'])
      await spool.start({ HYPER2KVM_FAILPOINT: failpoint }, { expectDeath: true }).then(() => spool.died(60));
    await spool.start();
    const done = await spool.waitForJob(({ state }) => state === 'converted', 60);
    expect(done.job).toBe(parked.job);
    expect(await spool.jobs()).toHaveLength(1);

    const [bundle] = (await spool.results('archive')) as [string];
    const disk = join(bundle, 'web01-disk0.qcow2');
    await qemuImg('compare', '-q', '-f', 'qcow2', '-F', 'raw', disk, 'expected.raw');
    expect(statSync(disk).ino).toBe(copy.ino);
    expect(statSync(disk).nlink).toBe(1);
    const delta = 8 * 64 * 1024;
    const { bytes_written } = await stageOf(bundle, 'convert');
    expect(bytes_written).toBeGreaterThanOrEqual(delta);
    expect(bytes_written).toBeLessThanOrEqual(1.2 * delta);
    expect(readdirSync(join(bundle, 'source', 'web01')).sort()).toEqual([
      ...['job.toml', 'web01-000001.vmdk', 'web01-flat.vmdk', 'web01.vmdk'],
    ]);
    await run('sha256sum', ['--quiet', '-c', 'SHA256SUMS'], { cwd: bundle });
    expect(readdirSync(spool.path('work'))).toEqual([]);
    expect(readdirSync(spool.path('incoming'))).toEqual([]);
  });
});

describe('a drop that lacks what the base of a parked job has', () => {
  it('is refused with its code if it is of another disk, and the base stays', async () => {
    spool = await Spool.create('[watch]\nsettle_seconds = 0.4\npoll_seconds = 0.5\n');
    await vmdkWithDelta();
    const text = readFileSync(spool.path('web01-000001.vmdk'));
    const id = /parentCID=([0-9a-f]{8})/.exec(text.toString('latin1'))![1]!;
    text.write(
      id.replace(/./g, (digit) => (15 - Number.parseInt(digit, 16)).toString(16)),
      text.indexOf(`parentCID=${id}`) + 10,
    );
    writeFileSync(spool.path('web01-000001.vmdk'), text);
    dropDirectory('web01', ['web01.vmdk', 'web01-flat.vmdk'], WARM_DATA);
    await spool.start();
    const parked = await spool.waitForJob(({ state }) => state === 'parked', 60);
    dropDirectory('web01', ['web01-000001.vmdk']);
    // As any drop that lacks something, it is refused when nothing more has come for a while.
    const failed = await spool.waitForJob(({ state }) => state === 'failed', 60, { mayFail: true });
    expect(failed.error?.code).toBe('fetch.parent-mismatch');
    expect(await spool.job(parked.job)).toMatchObject({ state: 'parked' });

    // A VM that has changed nothing since its base needs no delta.
    await spool.post(`/v1/jobs/${parked.job}/cutover`);
    await spool.waitForJob(({ job, state }) => job === parked.job && state === 'converted', 60, {
      mayFail: true,
    });
    const [bundle] = (await spool.results('archive')) as [string];
    expect((await stageOf(bundle, 'convert')).bytes_written).toBe(0);
    expect((await stageOf(bundle, 'fetch')).status).toBe('reused');
    await qemuImg(
      ...['compare', '-q', '-f', 'qcow2', '-F', 'vmdk', join(bundle, 'web01-disk0.qcow2')],
      join(bundle, 'source', 'web01', 'web01.vmdk'),
    );
  });
});

describe('an overlay that is dropped beside its parked base', () => {
  it('is the cutover, also after a cancellation and a retry, and with a raw disk as the result', async () => {
    spool = await Spool.create('[convert]\nformat = "raw"\n');
    await qemuImg('create', '-q', '-f', 'qcow2', 'db.qcow2', '32M');
    await qemuIo('db.qcow2', 'write -q -P 1 0 16M');
    await qemuImg('create', '-q', '-f', 'qcow2', '-b', 'db.qcow2', '-F', 'qcow2', 'db-snap.qcow2');
    await qemuIo('db-snap.qcow2', 'write -q -P 9 1M 64k', 'write -q -z 4M 1M');
    await qemuImg('convert', '-f', 'qcow2', '-O', 'raw', 'db-snap.qcow2', 'expected.raw');
    writeFileSync(spool.path('incoming', 'db.job.toml'), WARM_DATA);
    await spool.drop(spool.path('db.qcow2'));
    await spool.start();
    const { job } = await spool.waitForJob(({ state }) => state === 'parked', 60);
    await spool.post(`/v1/jobs/${job}/cancel`);
    await spool.waitForJob(({ state }) => state === 'cancelled', 60);
    await spool.post(`/v1/jobs/${job}/retry`);
    await spool.waitForJob(({ state }) => state === 'parked', 60);

    await spool.drop(spool.path('db-snap.qcow2'));
    await spool.waitForJob(({ state }) => state === 'converted', 60);
    const [bundle] = (await spool.results('archive')) as [string];
    await qemuImg('compare', '-q', '-f', 'raw', '-F', 'raw', join(bundle, 'db-disk0.raw'), 'expected.raw');
    expect((await stageOf(bundle, 'convert')).bytes_written).toBe(64 * 1024);
    expect(statSync(join(bundle, 'db-disk0.raw')).size).toBe(32 * MIB);
  });
});

describe('a copy of a base', () => {
  it('is what the stack is now, whatever an earlier attempt wrote', async () => {
    spool = await Spool.create();
    const workDirectory = spool.directory;
    mkdirSync(spool.path('warm'));
    await qemuImg('create', '-q', '-f', 'raw', 'base.raw', '8M');
    await qemuIo('base.raw', 'write -q -P 1 0 8M');
    await qemuImg('convert', '-f', 'raw', '-O', 'qcow2', 'base.raw', 'warm/disk0.qcow2');
    await qemuImg('create', '-q', '-f', 'qcow2', '-b', 'base.raw', '-F', 'raw', 'flat-disk0.qcow2');
    const context = { workDirectory, source: { directory: workDirectory, entries: ['base.raw'] } };
    const signal = new AbortController().signal;
    for (const [image, ...writes] of [
      ['first.qcow2', 'write -q -P 2 1M 128k', 'write -q -P 3 4M 64k'],
      ['second.qcow2', 'write -q -P 4 1M 64k', 'write -q -z 6M 64k'],
    ] as [string, ...string[]][]) {
      await qemuImg('create', '-q', '-f', 'qcow2', '-b', 'flat-disk0.qcow2', '-F', 'qcow2', image);
      await qemuIo(image, ...writes);
      const base = { file: 'warm/disk0.qcow2', format: 'qcow2', layers: 1 };
      await commitAreas(
        context as unknown as StageContext,
        { base, image, flat: 'flat-disk0.qcow2', index: 0, deltas: 0 },
        { signal, onPercent: () => {} },
      );
      await qemuImg('compare', '-q', '-f', 'qcow2', '-F', 'qcow2', 'warm/disk0.qcow2', image);
    }
  });
});
