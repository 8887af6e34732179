import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { REPORT_BEGIN } from '../../src/families/linux/guest-report.js';
import { sha256File } from '../../src/files/digest.js';
import { exists } from '../../src/files/exists.js';
import { run } from '../../src/tools/run.js';
import { Spool, until } from '../integration/support/daemon.js';
import { BROKEN_COPIES_IN_TESTS } from '../lab/broken-copies.ts';
import { formOf } from '../lab/forms.ts';
import { buildGuest } from '../lab/guest.ts';
import { RECIPES } from '../lab/recipes.ts';
import { expectDelivered } from './delivered.js';
import { expectHealed } from './healed.js';

let spool: Spool;
afterAll(async () => spool?.destroy());

/**
 * crash.test.ts takes the BIOS guest the same way, with the daemon killed in each stage; lab-guests.test.ts
 * shows what both do as they are. One conversion shows what it shows of the loader, too: that the firmware
 * refuses what was there, and starts the distribution's own.
 */
test('bookworm-uefi, dropped as streamOptimized with a fallback loader that the firmware refuses, gets the distribution’s own, and comes back as a VM that boots on virtio with its address, its mounts and its services', async () => {
  spool = await Spool.create();
  const { recipe, make } = BROKEN_COPIES_IN_TESTS.brokenLoader;
  const guest = await buildGuest(RECIPES[recipe]);
  const copy = await make(guest, spool.path('made'));
  const disk = await formOf(copy, 'streamOptimized', spool.directory);
  const source = await sha256File(disk);
  await spool.start();
  await spool.drop(disk, 'web01.vmdk');
  const job = await spool.waitForJob(({ state }) => state === 'converted', 840);
  await expectHealed(job.directory as string, ['uefi-shell', 'uefi-no-loader'], {
    'fix.uefi_loader': 'replace',
  });
  const report = await expectDelivered(spool, job, {
    recipe: guest.recipe,
    drop: 'web01.vmdk',
    source,
    mounts: ['/boot/efi', '/', '/srv'],
  });

  // What the boot test adds to the guest stays on its layer.
  const delivered = spool.path('delivered.raw');
  await run('qemu-img', [
    ...['convert', '-f', 'qcow2', '-O', 'raw'],
    ...[join(job.directory as string, report.disks[0]!.file), delivered],
  ]);
  await run('grep', ['--quiet', '--text', REPORT_BEGIN, delivered], { okCodes: [1] });

  expect(report.stages.map(({ stage, status }) => `${stage} ${status}`)).toEqual([
    'fetch completed',
    'flatten completed',
    'inspect completed',
    'plan completed',
    'fix completed',
    'convert completed',
    'validate completed',
  ]);
  const written = report.stages.find(({ stage }) => stage === 'convert')?.bytes_written ?? 0;
  expect(written).toBeLessThanOrEqual(report.disks.reduce((sum, { allocated }) => sum + allocated, 0));
  await until(
    'the work directory to be empty',
    20,
    async () => !(await exists(spool.path('work', job.job))),
    () => job.job,
  );
});
