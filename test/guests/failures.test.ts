import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { sha256File } from '../../src/files/digest.js';
import { bootSchema } from '../../src/model/boot.js';
import { run } from '../../src/tools/run.js';
import { readJson, Spool } from '../integration/support/daemon.js';
import { copyWithKernelOptions } from '../lab/boot.ts';
import { buildGuest } from '../lab/guest.ts';
import { layOut, partitionAt } from '../lab/layout.ts';
import { RECIPES } from '../lab/recipes.ts';

const RECIPE = RECIPES['bookworm-bios'];

let spool: Spool;
afterEach(async () => spool?.destroy());

/** A copy of the guest's disk, changed by debugfs commands on one of its partitions. */
async function changedGuest(mount: string, commands: readonly string[]): Promise<string> {
  const guest = await buildGuest(RECIPE);
  const disk = spool.path('changed.raw');
  await run('cp', ['--sparse=always', '--reflink=auto', guest.image, disk]);
  const { offset } = partitionAt(layOut(RECIPE), mount);
  await run('debugfs', ['-w', '-f', '-', `${disk}?offset=${offset}`], { input: `${commands.join('\n')}\n` });
  return disk;
}

/** A disk of random data that says so: no appliance is needed for it. */
async function dataDisk(): Promise<string> {
  await writeFile(spool.path('data.raw'), randomBytes(1024 * 1024));
  await writeFile(spool.path('incoming', 'victim.job.toml'), 'kind = "data"\n');
  return spool.path('data.raw');
}

/** Drops it, waits for the failure, and checks what every failure owes its user. Returns its directory. */
async function expectFailure(disk: string, stage: string, code: string): Promise<string> {
  const source = await sha256File(disk);
  await spool.drop(disk, 'victim.img');
  const job = await spool.waitForJob(({ state }) => state === 'failed', 540, { mayFail: true });
  expect(job.error?.code).toBe(code);
  const failed = job.directory as string;
  const reason = await readJson<{ code: string; stage: string; advice: string }>(join(failed, 'reason.json'));
  expect(reason).toMatchObject({ code, stage });
  expect(reason.advice).not.toBe('');
  expect(await readJson(join(failed, 'report.json'))).toMatchObject({ verdict: 'failed' });
  expect(await sha256File(join(failed, 'source', 'victim.img'))).toBe(source);
  expect(await readdir(spool.path('work'))).toEqual([]);
  expect(await spool.results('archive')).toEqual([]);
  return failed;
}

/** A qemu-img that fails in one subcommand: no real disk makes the tool itself fail there. */
async function brokenQemuImg(subcommand: string): Promise<Record<string, string>> {
  const directory = spool.path('bin');
  await mkdir(directory);
  const real = (await run('sh', ['-c', 'command -v qemu-img'])).stdout.toString('utf8').trim();
  await writeFile(
    join(directory, 'qemu-img'),
    `#!/bin/sh\n[ "$1" = ${subcommand} ] && { echo "qemu-img: broken on purpose" >&2; exit 1; }\nexec ${real} "$@"\n`,
  );
  await chmod(join(directory, 'qemu-img'), 0o755);
  return { PATH: `${directory}:${process.env.PATH}` };
}

describe('a job that fails sets the drop aside untouched, with its reason', () => {
  test('in FETCH', async () => {
    spool = await Spool.create();
    await spool.start();
    await run('qemu-img', ['convert', '-O', 'qcow2', await dataDisk(), spool.path('cut.qcow2')]);
    await truncate(spool.path('cut.qcow2'), 512 * 1024);
    await run('mv', [spool.path('cut.qcow2'), spool.path('cut.img')]);
    // The extension says raw, the header says qcow2.
    await expectFailure(spool.path('cut.img'), 'fetch', 'fetch.conflicting-format');
  });

  test('in FLATTEN', async () => {
    spool = await Spool.create();
    await spool.start(await brokenQemuImg('create'));
    await expectFailure(await dataDisk(), 'flatten', 'flatten.unreadable');
  });

  test('in INSPECT: a system whose fstab does not mount its /boot has no kernel', async () => {
    spool = await Spool.create();
    await spool.start();
    await writeFile(spool.path('fstab'), '/dev/sda2 / ext4 defaults 0 1\n');
    const disk = await changedGuest('/', ['rm /etc/fstab', `write ${spool.path('fstab')} /etc/fstab`]);
    await expectFailure(disk, 'inspect', 'inspect.no-kernel');
  });

  test('in PLAN: a device of fstab that cannot be resolved', async () => {
    spool = await Spool.create();
    await spool.start();
    await writeFile(
      spool.path('fstab'),
      '/dev/sda2 / ext4 defaults 0 1\n/dev/sda1 /boot ext4 defaults 0 2\n/dev/sda9 /var ext4 defaults 0 2\n',
    );
    const disk = await changedGuest('/', ['rm /etc/fstab', `write ${spool.path('fstab')} /etc/fstab`]);
    await expectFailure(disk, 'plan', 'plan.fstab-unresolved');
  });

  test('in FIX: no space left in the guest', async () => {
    spool = await Spool.create();
    await spool.start();
    await run('sh', ['-c', `head -c 400M /dev/zero | tr '\\0' x > ${spool.path('filler')}`]);
    const disk = await changedGuest('/boot', [`write ${spool.path('filler')} /filler`]);
    await expectFailure(disk, 'fix', 'fix.guest-full');
  });

  test('in CONVERT', async () => {
    spool = await Spool.create();
    await spool.start(await brokenQemuImg('convert'));
    await expectFailure(await dataDisk(), 'convert', 'tool.failed');
  });

  test('in VALIDATE: a guest as VMware left it does not find its root on virtio-blk; read from the screen, for it has no serial console', async () => {
    spool = await Spool.create('[fix]\nmode = "none"\ndevices = "virtio"\n[validate]\nremedies = "none"\n');
    await spool.start();
    // Its initramfs waits 5 s for the root device instead of 30.
    const disk = await copyWithKernelOptions(await buildGuest(RECIPE), spool.directory, 'rootdelay=5');
    const failed = await expectFailure(disk, 'validate', 'validate.initramfs-shell');
    const files = await readdir(join(failed, 'boot'));
    expect(files).toEqual(expect.arrayContaining(['boot.json', 'serial.log']));
    expect(files.filter((name) => name.endsWith('.png')).length).toBeGreaterThan(0);
    const boot = bootSchema.parse(await readJson(join(failed, 'boot/boot.json')));
    expect(boot).toMatchObject({ verdict: 'failed', level: 'kernel', attempts: 1 });
    expect(boot.seconds).toBeLessThan(450);
  });
});
