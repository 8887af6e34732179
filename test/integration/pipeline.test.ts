import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { sha256File } from '../../src/host/digest.js';
import { bootGuest, LAB_REPORT, labReport } from '../../src/lab/boot.js';
import { formOf } from '../../src/lab/forms.js';
import { buildGuest } from '../../src/lab/guest.js';
import { RECIPES } from '../../src/lab/recipes.js';
import type { StageRecord } from '../../src/pipeline/run-types.js';
import type { Boot } from '../../src/stages/validate/schema.js';
import { run } from '../../src/tools/run.js';
import { readJson, Spool } from './support/daemon.js';

interface Report {
  verdict: string;
  stages: StageRecord[];
  identity: { firmware: string; os_distro: string };
  disks: { file: string; sha256: string; allocated: number }[];
  boot: Boot;
}

let spool: Spool;
afterEach(async () => spool?.destroy());

/** lab-guests.test.ts shows what each guest does as it is: it runs on pvscsi and stops at `(initramfs)` on virtio-blk. */
describe.each([
  { recipe: RECIPES['bookworm-bios'], form: 'monolithicSparse', mounts: ['/boot', '/', '/srv'] },
  { recipe: RECIPES['bookworm-uefi'], form: 'streamOptimized', mounts: ['/boot/efi', '/', '/srv'] },
] as const)('$recipe.name, dropped as $form', ({ recipe, form, mounts }) => {
  test('comes back as a VM that boots on virtio with its address, its mounts and its services', async () => {
    spool = await Spool.create();
    const guest = await buildGuest(recipe);
    const disk = await formOf(guest.image, form, spool.directory);
    const source = await sha256File(disk);
    await spool.start();
    await spool.drop(disk, 'web01.vmdk');
    const job = await spool.waitForJob(({ state }) => state === 'converted', 540);
    const bundle = job.directory as string;

    const report = await readJson<Report>(join(bundle, 'report.json'));
    expect(report.verdict).toBe('converted');
    expect(report.identity).toMatchObject({ firmware: recipe.firmware, os_distro: 'debian' });
    expect(report.boot).toMatchObject({ verdict: 'booted', level: 'login', failure: null });
    expect(report.boot.guest).toMatchObject({
      addresses: ['10.0.2.15'],
      missing_mounts: [],
      failed_units: [],
    });
    expect(report.boot.guest?.swaps).toHaveLength(1);
    expect(report.stages.map(({ stage, status }) => `${stage} ${status}`)).toEqual([
      'fetch completed',
      'flatten completed',
      'inspect completed',
      'plan completed',
      'fix completed',
      'convert completed',
      'validate completed',
    ]);
    expect(report.stages.reduce((sum, stage) => sum + stage.appliance_launches, 0)).toBe(1);
    const written = report.stages.find(({ stage }) => stage === 'convert')?.bytes_written ?? 0;
    expect(written).toBeLessThanOrEqual(report.disks.reduce((sum, { allocated }) => sum + allocated, 0));

    // The source as it came, the delivered disk as CONVERT wrote it: the boot test changed neither.
    expect(await sha256File(join(bundle, 'source', 'web01.vmdk'))).toBe(source);
    await run('sha256sum', ['--quiet', '--strict', '-c', 'SHA256SUMS'], { cwd: bundle });
    expect(await readFile(join(bundle, 'plan.diff'), 'utf8')).toContain('+UUID=');
    expect(await spool.results('failed')).toEqual([]);

    // Not only our own word: the delivered disk, without any layer of the boot test, in a machine that the test makes.
    const delivered = [{ file: join(bundle, report.disks[0]!.file), format: 'qcow2' as const }];
    const machine = {
      disks: delivered,
      firmware: recipe.firmware,
      mac: recipe.network.mac,
      until: [LAB_REPORT],
    };
    const { serial } = await bootGuest({ ...machine, hardware: 'virtio' });
    expect(labReport(serial)).toMatchObject({
      addresses: ['ens192=10.0.2.15/24'],
      mounts,
      swaps: ['/dev/vda3'],
      failed: [],
    });
    // And a fixed guest still boots where it came from (OVMF cannot read a disk on PVSCSI).
    if (recipe.firmware === 'uefi') return;
    const home = await bootGuest({ ...machine, hardware: 'vmware' });
    expect(labReport(home.serial)).toMatchObject({ addresses: ['ens192=10.0.2.15/24'], mounts, failed: [] });
  });
});
