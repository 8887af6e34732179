import { randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { freeBytes } from '../../src/files/space.js';
import { run } from '../../src/tools/run.js';
import { readJson, Spool, until } from './support/daemon.js';

const MIB = 1024 ** 2;
const DATA = 'kind = "data"\n';

let spool: Spool;
let mounts: string[] = [];

afterEach(async () => {
  await spool.kill('SIGTERM');
  for (const path of mounts.reverse()) await run('umount', [path]);
  mounts = [];
  await spool.destroy();
});

/**
 * incoming and work on one small filesystem, as on a host with a disk for conversions; archive and failed
 * elsewhere.
 */
async function smallSpool(mib: number, toml = ''): Promise<void> {
  spool = await Spool.create(toml);
  const disk = spool.path('disk');
  mkdirSync(disk);
  await run('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', disk]);
  mounts.push(disk);
  for (const name of ['incoming', 'work', 'failed']) {
    mkdirSync(join(disk, name));
    await run('mount', ['--bind', join(disk, name), spool.path(name)]);
    mounts.push(spool.path(name));
  }
}

/** A qcow2 of a few MiB whose data is `mib` large. */
async function packed(name: string, mib: number): Promise<void> {
  const plain = spool.path(`${name}.plain`);
  const file = spool.path(`${name}.qcow2`);
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', plain, `${mib}M`]);
  await run('qemu-io', ['-f', 'qcow2', '-c', `write -q -P 0x5a 0 ${mib}M`, plain]);
  await run('qemu-img', [
    ...'convert -q -f qcow2 -O qcow2 -c -o compression_type=zstd'.split(' '),
    plain,
    file,
  ]);
  rmSync(plain);
  expect(statSync(file).size).toBeLessThan(8 * MIB);
}

async function drop(file: string): Promise<void> {
  writeFileSync(spool.path('incoming', file.replace(/\.\w+$/, '.job.toml')), DATA);
  await spool.drop(spool.path(file));
}

// Only root may mount.
describe('every job ends', () => {
  test('one whose output is larger than the disk fails with the numbers, and the disk is never full', async () => {
    await smallSpool(380);
    await packed('bomb', 400);
    writeFileSync(spool.path('good.raw'), randomBytes(4 * MIB));
    await spool.start();
    let least = Number.POSITIVE_INFINITY;
    await drop('bomb.qcow2');
    const watch = setInterval(() => {
      void freeBytes(spool.path('work')).then((free) => {
        least = Math.min(least, free);
      });
    }, 50);
    const failed = await spool.waitForJob(({ state }) => state === 'failed', 60, { mayFail: true });
    clearInterval(watch);
    expect(failed.error).toMatchObject({
      code: 'host.no-space',
      message: expect.stringMatching(/4\d\d MiB are needed under .*3\d\d MiB free of 380 MiB in total/),
    });
    expect(least).toBeGreaterThan(300 * MIB);
    await run('cmp', [spool.path('bomb.qcow2'), join(failed.directory ?? '', 'source', 'bomb.qcow2')]);
    await drop('good.raw');
    await spool.waitForJob(({ vm, state }) => vm === 'good' && state === 'converted', 60, { mayFail: true });
    expect(spool.log.match(/"msg":"job failed"/g)).toHaveLength(1);
  });

  test('one that has to wait for another waits, and is converted then', async () => {
    await smallSpool(520, '[workers]\njobs = 2\nconversions = 2\n');
    for (const name of ['a', 'b']) await packed(name, 120);
    await spool.start();
    for (const name of ['a', 'b']) await drop(`${name}.qcow2`);
    const done = async () => (await spool.jobs()).filter(({ state }) => state === 'converted').length;
    await until(
      'both',
      60,
      async () => (await done()) === 2,
      () => spool.log.slice(-4000),
    );
    expect(spool.log).toContain('job is waiting for space');
    expect(spool.log).not.toContain('disk full');
  });

  test('one that cannot clean up after itself is committed, and cleaned up later', async () => {
    spool = await Spool.create('[archive]\nsource = "delete"\n');
    mkdirSync(spool.path('vm'));
    writeFileSync(spool.path('vm', 'disk.raw'), randomBytes(4 * MIB));
    writeFileSync(spool.path('vm', 'job.toml'), DATA);
    await run('cp', ['-a', spool.path('vm'), spool.path('incoming', '.vm')]);
    const immutable = (...names: string[]) => spool.path(...names, 'disk.raw');
    await run('chattr', ['+i', immutable('incoming', '.vm')]);
    await run('mv', [spool.path('incoming', '.vm'), spool.path('incoming', 'vm')]);
    await spool.start();
    await spool.waitForJob(({ state }) => state === 'converted', 60);
    const [hidden = ''] = readdirSync(spool.path('work'));
    expect(hidden).toMatch(/^\.removing-/);
    expect(spool.log).toContain('directory cannot be removed');
    await spool.kill('SIGTERM');
    await spool.start();
    expect(spool.log).toContain('leftovers cannot be removed');
    await spool.kill('SIGTERM');
    await run('chattr', ['-i', immutable('work', hidden, 'source', 'vm')]);
    await spool.start();
    expect(readdirSync(spool.path('work'))).toEqual([]);
    expect(await spool.results('archive')).toHaveLength(1);
  });

  test('one that was cancelled stays cancelled, although the daemon is killed at once', async () => {
    const hook = '[[pipeline.hooks]]\nstage = "convert"\nwhen = "before"\ncommand = ["/bin/sleep", "60"]\n';
    spool = await Spool.create(hook);
    writeFileSync(spool.path('vm.raw'), randomBytes(4 * MIB));
    await spool.start();
    await drop('vm.raw');
    const job = await spool.waitForJob(({ stage }) => stage === 'convert', 60);
    await spool.post(`/v1/jobs/${job.job}/cancel`);
    await spool.kill();
    await spool.start();
    const cancelled = await spool.waitForJob(({ state }) => state === 'cancelled', 30);
    expect(cancelled.error?.code).toBe('job.cancelled');
    expect(readdirSync(join(cancelled.directory ?? '', 'source'))).toContain('vm.raw');
    expect(readdirSync(spool.path('work'))).toEqual([]);
  });

  test('after an old database was restored no drop is gone', async () => {
    spool = await Spool.create();
    // No disk is so long: it fails.
    writeFileSync(spool.path('bad.raw'), randomBytes(MIB + 1));
    await spool.start();
    await drop('bad.raw');
    const { job } = await spool.waitForJob(({ state }) => state === 'failed', 60, { mayFail: true });
    await spool.kill('SIGTERM');
    copyFileSync(spool.path('queue.db'), spool.path('backup.db'));
    await spool.start({ HYPER2KVM_FAILPOINT: 'reopen.removed' });
    await spool.post(`/v1/jobs/${job}/retry`).catch(() => undefined);
    await spool.died(30);
    expect(existsSync(spool.path('work', job, 'source', 'bad.raw'))).toBe(true);
    for (const suffix of ['', '-wal', '-shm']) rmSync(spool.path(`queue.db${suffix}`), { force: true });
    copyFileSync(spool.path('backup.db'), spool.path('queue.db'));
    await spool.start();
    const [found = '', ...others] = await spool.results('failed');
    expect(others).toEqual([]);
    expect(found).toMatch(/-recovered$/);
    await run('cmp', [spool.path('bad.raw'), join(found, 'source', 'bad.raw')]);
    expect(await readJson(join(found, 'reason.json'))).toMatchObject({ code: 'queue.unknown-job', job });
    expect(readdirSync(spool.path('work'))).toEqual([]);
  });
});
