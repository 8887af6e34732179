import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { exists } from '../../src/files/exists.js';
import { Spool } from '../integration/support/daemon.js';
import { BROKEN_COPIES_IN_TESTS } from '../lab/broken-copies.ts';
import { buildGuest } from '../lab/guest.ts';
import { RECIPES } from '../lab/recipes.ts';
import { expectHealed } from './healed.js';

let spool: Spool;
let scratch: string;
afterAll(async () => {
  await spool?.destroy();
  await rm(scratch, { recursive: true, force: true });
});

const startedStages = (log: string): string[] =>
  log.split('\n').flatMap((line) => /"stage":"(\w+)".*"msg":"stage started"/.exec(line)?.[1] ?? []);

test('a mount that stops the boot gets nofail, and that plan boots; kill -9 in the second attempt resumes in it', async () => {
  scratch = await mkdtemp(join(tmpdir(), 'h2k-remedies-'));
  spool = await Spool.create();
  const { recipe, make } = BROKEN_COPIES_IN_TESTS.wrongType;
  const disk = await make(await buildGuest(RECIPES[recipe]), scratch);
  await spool.start();
  await spool.drop(disk, 'broken.img');
  const second = (job: { stage: string | null; job: string }) => job.stage === 'fix';
  await spool.waitForJob(second, 240);
  await spool.waitForJob(({ stage }) => stage === 'validate', 240);
  // FIX comes again only after the first boot has failed.
  const { job } = await spool.waitForJob(second, 540);
  expect(await exists(spool.path('work', job, 'attempt-1/boot/serial.log'))).toBe(true);
  await spool.kill();
  const logged = spool.log.length;
  await spool.start();
  const done = await spool.waitForJob(({ state }) => state === 'converted', 540);
  expect(startedStages(spool.log.slice(logged))).toEqual(['fix', 'convert', 'validate']);
  const options = { 'fix.nofail': ['/srv'] };
  const report = await expectHealed(done.directory as string, ['emergency-mode'], options);
  expect(report.remedies[0]?.reason).toContain('/srv');
  expect(report.first_attempt?.boot?.failure?.named).toEqual(['/srv']);
  // What is missing is said, and nothing else is.
  expect(report.boot?.warnings).toMatchObject([
    { code: 'validate.failed-units', message: 'failed units: srv.mount' },
  ]);
  expect(report.boot?.guest?.mounts.map(({ mountpoint }) => mountpoint)).toEqual(
    expect.arrayContaining(['/', '/boot']),
  );
});
