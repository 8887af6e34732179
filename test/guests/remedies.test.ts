import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { exists } from '../../src/files/exists.js';
import type { Report } from '../../src/report/report.js';
import { run } from '../../src/tools/run.js';
import { readJson, Spool, until } from '../integration/support/daemon.js';
import { BROKEN_COPIES_IN_TESTS } from '../lab/broken-copies.ts';
import { buildGuest } from '../lab/guest.ts';
import { RECIPES } from '../lab/recipes.ts';

let spool: Spool;
let scratch: string;
afterEach(async () => {
  await spool?.destroy();
  await rm(scratch, { recursive: true, force: true });
});

/** Drops the broken copy. */
async function drop({ recipe, make }: (typeof BROKEN_COPIES_IN_TESTS)[keyof typeof BROKEN_COPIES_IN_TESTS]) {
  scratch = await mkdtemp(join(tmpdir(), 'h2k-remedies-'));
  spool = await Spool.create();
  const disk = await make(await buildGuest(RECIPES[recipe]), scratch);
  await spool.start();
  await spool.drop(disk, 'broken.img');
}

/** Holds the report of a healed guest against what it owes: the failure, the remedy, and the evidence of both. */
async function expectHealed(directory: string, signature: string, options: object): Promise<Report> {
  const report = await readJson<Report>(join(directory, 'report.json'));
  expect(report).toMatchObject({
    verdict: 'converted',
    first_attempt: {
      boot: { verdict: 'failed', failure: { signature } },
      directory: 'attempt-1',
    },
    remedies: [{ options, error: null, boot: { verdict: 'booted', level: 'login' } }],
    boot: { verdict: 'booted', level: 'login' },
  });
  expect(report.remedies[0]?.boot).toEqual(report.boot);
  const html = await readFile(join(directory, 'report.html'), 'utf8');
  expect(html).toContain('2 plans were tried');
  for (const file of ['boot/boot.json', 'boot/serial.log', 'boot/screen-end.png', 'plan.json'])
    expect(await exists(join(directory, 'attempt-1', file))).toBe(true);
  await run('sha256sum', ['--quiet', '--strict', '-c', 'SHA256SUMS'], { cwd: directory });
  return report;
}

const startedStages = (log: string): string[] =>
  log.split('\n').flatMap((line) => /"stage":"(\w+)".*"msg":"stage started"/.exec(line)?.[1] ?? []);

test('a mount that stops the boot gets nofail, and that plan boots; kill -9 in the second attempt resumes in it', async () => {
  await drop(BROKEN_COPIES_IN_TESTS.wrongType);
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
  const report = await expectHealed(done.directory as string, 'emergency-mode', options);
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

test('a fallback loader that the firmware refuses is replaced by the distribution’s own', async () => {
  await drop(BROKEN_COPIES_IN_TESTS.brokenLoader);
  const done = await spool.waitForJob(({ state }) => state === 'converted', 840);
  const report = await readJson<Report>(join(done.directory as string, 'report.json'));
  const signature = report.first_attempt?.boot?.failure?.signature ?? '';
  expect(['uefi-shell', 'uefi-no-loader']).toContain(signature);
  await expectHealed(done.directory as string, signature, { 'fix.uefi_loader': 'replace' });
  expect(report.boot?.warnings).toEqual([]);
  await until(
    'the work directory to be empty',
    20,
    async () => !(await exists(spool.path('work', done.job))),
    () => done.job,
  );
});
