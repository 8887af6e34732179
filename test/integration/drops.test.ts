import { appendFile, copyFile, mkdir, open, readFile, rename, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { sha256File } from '../../src/files/digest.js';
import { run } from '../../src/tools/run.js';
import { readJson, Spool } from './support/daemon.js';

/**
 * Data disks (`kind = "data"`): the same way through spool, queue and archive, without an appliance and a
 * boot.
 */
const DATA = 'kind = "data"\n';

interface Reason {
  code: string;
  message: string;
  advice: string;
}

let spool: Spool;
afterEach(async () => spool?.destroy());

/** A raw disk with a partition table and `mib` MiB of data that differs by `seed`, as VMDK of `subformat`. */
async function makeVmdk(
  name: string,
  mib: number,
  seed: string,
  subformat = 'monolithicSparse',
): Promise<string> {
  const raw = spool.path(`${name}.raw`);
  const vmdk = spool.path(name);
  await run('sh', [
    '-c',
    `openssl enc -aes-128-ctr -pass pass:${seed} -nosalt -in /dev/zero 2>/dev/null | head -c ${mib * 1024 * 1024} > ${raw}; true`,
  ]);
  await run('sfdisk', ['-q', raw], { input: 'label: dos\n2048,,83\n' });
  await run('qemu-img', ['convert', '-O', 'vmdk', '-o', `subformat=${subformat}`, raw, vmdk]);
  return vmdk;
}

async function expectContent(bundle: string, vm: string, raw: string): Promise<void> {
  await run('qemu-img', ['compare', '-f', 'qcow2', '-F', 'raw', join(bundle, `${vm}-disk0.qcow2`), raw]);
  await run('sha256sum', ['--quiet', '-c', 'SHA256SUMS'], { cwd: bundle });
}

describe('what is dropped', () => {
  it('while it is still being copied, with pauses longer than the settle time, is converted once and whole', async () => {
    spool = await Spool.create();
    const disk = await makeVmdk('slow.vmdk', 24, 'slow');
    const bytes = await readFile(disk);
    await spool.start();
    await writeFile(spool.path('incoming', 'slow.job.toml'), DATA);
    const target = spool.path('incoming', 'slow.vmdk');
    for (let part = 0; part < 5; part++) {
      const size = Math.ceil(bytes.length / 5);
      await appendFile(target, bytes.subarray(part * size, (part + 1) * size));
      if (part < 4) await sleep(3000);
      expect(await spool.results('failed')).toEqual([]);
    }
    await spool.waitForJob((job) => job.state === 'converted', 60);
    const bundles = await spool.results('archive');
    expect(bundles).toHaveLength(1);
    await expectContent(bundles[0]!, 'slow', spool.path('slow.vmdk.raw'));
    expect(await sha256File(join(bundles[0]!, 'source', 'slow.vmdk'))).toBe(await sha256File(disk));
  });

  it('before the start is found, and the same name dropped twice gives two results', async () => {
    spool = await Spool.create();
    const disk = await makeVmdk('twice.vmdk', 8, 'one');
    const other = await makeVmdk('other.vmdk', 8, 'two');
    await writeFile(spool.path('incoming', 'twice.job.toml'), DATA);
    await spool.drop(disk, 'twice.vmdk');
    await spool.start();
    await spool.waitForJob((job) => job.state === 'converted', 60);
    await writeFile(spool.path('incoming', 'twice.job.toml'), DATA);
    await spool.drop(other, 'twice.vmdk');
    const jobs = async () => (await spool.jobs()).filter((job) => job.state === 'converted');
    for (let tries = 0; (await jobs()).length < 2 && tries < 300; tries++) await sleep(200);
    const bundles = await spool.results('archive');
    expect(bundles).toHaveLength(2);
    const digests = await Promise.all(
      bundles.map((bundle) => sha256File(join(bundle, 'source', 'twice.vmdk'))),
    );
    expect(digests.sort()).toEqual([await sha256File(disk), await sha256File(other)].sort());
  });

  it('in two pieces at once runs side by side', async () => {
    spool = await Spool.create('[workers]\njobs = 2\nconversions = 2\n');
    for (const name of ['left', 'right']) {
      await spool.drop(await makeVmdk(`${name}.vmdk`, 256, name));
      await writeFile(spool.path('incoming', `${name}.job.toml`), DATA);
    }
    await spool.start();
    await spool.waitForJob((job) => job.state === 'converted' && job.vm === 'left', 90);
    await spool.waitForJob((job) => job.state === 'converted' && job.vm === 'right', 90);
    const [left, right] = await spool.jobs();
    const overlap =
      Math.min(Date.parse(left!.finished_at!), Date.parse(right!.finished_at!)) -
      Math.max(Date.parse(left!.started_at!), Date.parse(right!.started_at!));
    expect(overlap).toBeGreaterThan(0);
  });

  it('as a directory, and as a loose snapshot chain with changes in its deltas, is one VM each', async () => {
    spool = await Spool.create();
    await makeVmdk('base.vmdk', 16, 'base');
    const raw = spool.path('base.vmdk.raw');
    await run(
      'qemu-img',
      ['create', '-q', '-f', 'vmdk', '-b', 'base.vmdk', '-F', 'vmdk', 'base-000001.vmdk'],
      {
        cwd: spool.directory,
      },
    );
    for (const [file, format] of [
      [spool.path('base-000001.vmdk'), 'vmdk'],
      [raw, 'raw'],
    ] as const) {
      await run('qemu-io', ['-f', format, '-c', 'write -P 0x5a 5M 64k', file]);
    }
    await mkdir(spool.path('incoming', 'folder'));
    for (const name of ['base.vmdk', 'base-000001.vmdk']) {
      await copyFile(spool.path(name), spool.path('incoming', 'folder', name));
    }
    await writeFile(spool.path('incoming', 'folder', 'job.toml'), DATA);
    await spool.start();
    await spool.waitForJob((job) => job.state === 'converted' && job.vm === 'folder', 60);
    // The delta first: it waits for its base, and `list` says so.
    await writeFile(spool.path('incoming', 'base-000001.job.toml'), DATA);
    await spool.drop(spool.path('base-000001.vmdk'));
    const waiting = await spool.waitForJob((job) => job.state === 'waiting', 10);
    expect(waiting.waiting_for).toMatch(/base\.vmdk|settling/);
    await spool.drop(spool.path('base.vmdk'));
    await spool.waitForJob((job) => job.state === 'converted' && job.vm !== 'folder', 60);
    for (const bundle of await spool.results('archive')) {
      const { disks } = await readJson<{ disks: { file: string }[] }>(join(bundle, 'report.json'));
      expect(disks).toHaveLength(1);
      await run('qemu-img', ['compare', '-f', 'qcow2', '-F', 'raw', join(bundle, disks[0]!.file), raw]);
    }
  });
});

describe('what cannot be converted', () => {
  it('ends in failed/ with a reason a person can act on, the source untouched, and the daemon goes on', async () => {
    spool = await Spool.create();
    const good = await makeVmdk('good.vmdk', 8, 'good');
    // A disk of its own: with the content id of another's parent it would be taken for that.
    await makeVmdk('truncated.vmdk', 8, 'truncated');
    await truncate(spool.path('truncated.vmdk'), 3 * 1024 * 1024);
    await run('qemu-img', ['create', '-q', '-f', 'vmdk', '-b', 'good.vmdk', '-F', 'vmdk', 'orphan.vmdk'], {
      cwd: spool.directory,
    });
    await writeFile(spool.path('text.vmdk'), 'this is a shopping list\n'.repeat(400));
    await spool.start();
    const cases = [
      ['truncated', /^(fetch|disk|vmdk)\./, /truncat|incomplete|end|bytes/i],
      ['orphan', /^fetch\./, /good\.vmdk/],
      ['text', /^fetch\./, /./],
    ] as const;
    for (const [name] of cases) await spool.drop(spool.path(`${name}.vmdk`));
    for (const [name, code, message] of cases) {
      const job = await spool.waitForJob((one) => one.vm === name && one.state === 'failed', 90, {
        mayFail: true,
      });
      const reason = await readJson<Reason>(join(job.directory!, 'reason.json'));
      expect(reason.code).toMatch(code);
      expect(reason.message).toMatch(message);
      expect(reason.advice.length).toBeGreaterThan(20);
      expect(await sha256File(join(job.directory!, 'source', `${name}.vmdk`))).toBe(
        await sha256File(spool.path(`${name}.vmdk`)),
      );
      expect(await readJson<{ verdict: string }>(join(job.directory!, 'report.json'))).toMatchObject({
        verdict: 'failed',
      });
    }
    await writeFile(spool.path('incoming', 'good.job.toml'), DATA);
    await spool.drop(good);
    await spool.waitForJob((job) => job.vm === 'good' && job.state === 'converted', 60, { mayFail: true });
  });

  it('is a data disk without its kind: it fails with inspect.no-os, dropped again with it it converts', async () => {
    spool = await Spool.create();
    const disk = await makeVmdk('data.vmdk', 8, 'data');
    await spool.start();
    await spool.drop(disk);
    const job = await spool.waitForJob((one) => one.state === 'failed', 240, { mayFail: true });
    expect(job.error?.code).toBe('inspect.no-os');
    expect(job.error?.advice).toContain('kind = "data"');
    await writeFile(spool.path('incoming', 'data.job.toml'), DATA);
    const again = spool.path('incoming', '.again');
    await copyFile(disk, again);
    const handle = await open(again);
    await handle.sync();
    await handle.close();
    await rename(again, spool.path('incoming', 'data.vmdk'));
    await spool.waitForJob((one) => one.state === 'converted', 60, { mayFail: true });
  });
});
