import { randomBytes } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { JobDetail, JobSummary, Status } from '../../src/api/protocol.js';
import { cli, type Ended } from './support/cli.js';
import { Spool } from './support/daemon.js';

/**
 * The commands that ask and tell the daemon, as a user types them, against a real one. Data disks only: no
 * appliance, no boot.
 */
let spool: Spool;
beforeAll(async () => {
  spool = await Spool.create();
  await spool.start();
  await drop('db01', 'kind = "data"\n');
  await spool.waitForJob(({ vm, state }) => vm === 'db01' && state === 'converted', 60);
  await drop('bad01', 'kind = "data"\n[convert]\nformat = "floppy"\n');
  await spool.waitForJob(({ vm, state }) => vm === 'bad01' && state === 'failed', 60, { mayFail: true });
});
afterAll(() => spool.destroy());

async function drop(name: string, toml: string): Promise<void> {
  await writeFile(spool.path('incoming', `${name}.job.toml`), toml);
  await writeFile(
    spool.path(`${name}.raw`),
    Buffer.concat([randomBytes(1024 * 1024), Buffer.alloc(1024 * 1024)]),
  );
  await spool.drop(spool.path(`${name}.raw`));
}

const ask = (...args: string[]): Promise<Ended> => cli([...args, '--config', spool.path('config.toml')]);
async function json<T>(...args: string[]): Promise<T> {
  const { code, out, err } = await ask(...args, '--json');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return JSON.parse(out) as T;
}

test('status says what the daemon is doing', async () => {
  const { code, out } = await ask('status');
  expect(code).toBe(0);
  expect(out).toMatch(/^daemon +running, version \d+\.\d+\.\d+, pid \d+/);
  expect(out).toContain('1 converted, 1 failed');
  expect(await json<Status>('status')).toMatchObject({ pid: spool.pid, state: 'running' });
});

test('list has both jobs in 80 columns, and filters them', async () => {
  const { out } = await ask('list');
  const lines = out.trimEnd().split('\n');
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(lines[1]).toMatch(/^[0-9a-z]{13} db01 +converted/);
  expect(lines[2]).toMatch(/^[0-9a-z]{13} bad01 +failed/);
  const names = async (...filter: string[]) =>
    (await json<JobSummary[]>('list', ...filter)).map(({ vm }) => vm);
  expect(await names('--state', 'failed')).toEqual(['bad01']);
  expect(await names('--name', 'db')).toEqual(['db01']);
  expect(await names('--since', '1h')).toEqual(['db01', 'bad01']);
  expect(await names('--since', '2100-01-01')).toEqual([]);
});

test('show has stages and checkpoint; a job is found by id, its beginning, or its VM', async () => {
  const detail = await json<JobDetail>('show', 'db01');
  expect(detail.checkpoint).toEqual({
    completed_stages: ['fetch', 'flatten', 'inspect', 'plan', 'fix', 'convert', 'validate'],
    current_stage: null,
    resume_from: null,
    timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
  });
  expect((await json<JobDetail>('show', detail.job)).vm).toBe('db01');
  const { code, out, err } = await ask('show', 'db01');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toMatch(/^convert +completed +[\d.]+ s +1 /m);
  expect(out).toMatch(/^inspect +skipped$/m);
  expect(out).toContain(`result       ${detail.directory}`);
});

test('show of a failed job has the code and what to do', async () => {
  const { out } = await ask('show', 'bad01');
  expect(out).toMatch(/^job-options\.invalid-value\n {2}.*convert\.format/m);
});

test('logs are read by people, and by scripts with --json', async () => {
  const { out } = await ask('logs', 'db01');
  expect(out).toMatch(/^\d\d:\d\d:\d\d info {2}convert {2}stage finished .*seconds=/m);
  const { out: lines } = await ask('logs', 'db01', '--json');
  const parsed = lines
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { msg: string });
  expect(parsed.some(({ msg }) => msg === 'stage finished')).toBe(true);
});

test('a paused queue holds a retried job, which takes priority and cancel; resume goes on', async () => {
  expect((await ask('pause')).out).toMatch(/^Paused\./);
  expect((await ask('status')).out).toContain('paused (operator)');
  expect((await ask('retry', 'bad01')).out).toMatch(/bad01\) is queued again/);
  expect(await json<JobSummary>('priority', 'bad01', '10')).toMatchObject({ state: 'queued', priority: 10 });
  expect(await json<JobSummary>('priority', 'bad01', '-5')).toMatchObject({ priority: -5 });
  expect((await ask('cancel', 'bad01')).code).toBe(0);
  const cancelled = await spool.waitForJob(({ vm, state }) => vm === 'bad01' && state === 'cancelled', 30, {
    mayFail: true,
  });
  expect(await readdir(`${cancelled.directory}/source`)).toEqual(['bad01.job.toml', 'bad01.raw']);
  expect((await ask('drain')).out).toMatch(/^Draining\./);
  expect((await ask('resume')).out).toMatch(/^Running\./);
  const refused = await ask('cancel', 'db01');
  expect(refused.code).toBe(1);
  expect(refused.err).toMatch(/^hyper2kvm: api\.wrong-state: /);
});

test('retry with the option mended converts the failed one', async () => {
  const { code, out, err } = await ask('retry', 'bad01', '--set', 'convert.format=raw');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toMatch(/bad01\) is (queued|running) again/);
  const job = await spool.waitForJob(({ vm, state }) => vm === 'bad01' && state === 'converted', 60, {
    mayFail: true,
  });
  expect(await readdir(job.directory!)).toContain('bad01-disk0.raw');
});

test('an unknown job is an error with its code', async () => {
  const { code, err } = await ask('show', 'nobody');
  expect(code).toBe(1);
  expect(err).toMatch(/^hyper2kvm: api\.no-job: there is no job nobody\n/);
});

test('list -w goes on until it is interrupted, and ends well', async () => {
  let since = 0;
  const { code, out, err } = await cli(['list', '-w', '--json', '--config', spool.path('config.toml')], {
    onOutput({ out: text }, kill) {
      if (since > 0 || !text.includes('\n')) return;
      since = performance.now();
      setTimeout(() => kill('SIGINT'), 1_500);
    },
  });
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(performance.now() - since).toBeGreaterThan(1_400);
  for (const line of out.trimEnd().split('\n')) expect(JSON.parse(line)).toBeInstanceOf(Array);
});
