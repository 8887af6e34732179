import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type Config, configSchema } from '../../../src/config/schema.js';
import type { JobParts } from '../../../src/daemon/process-job.js';
import type { PipelineResult } from '../../../src/engine/types.js';
import { errorRecord, Hyper2kvmError } from '../../../src/errors/error.js';
import type { Job } from '../../../src/model/job.js';
import type { QueueStore } from '../../../src/queue/store.js';
import { listSource, sourceId } from '../../../src/sources/local/list-source.js';
import { run } from '../../../src/tools/run.js';
import { distantQueue, enqueue, scratchDirectory, scratchQueue, type TestQueue } from '../queue/scratch.js';
import { sampleBoot, sampleConvert, sampleOutputs, sampleRecords } from '../report/sample.js';
import { daemonParts, oneNotification, spoolConfig } from './support.js';

async function spool() {
  const directory = scratchDirectory();
  const config = spoolConfig(directory, { retry: { backoff_seconds: 0.01 } });
  const queue = scratchQueue(directory);
  await enqueue(queue, 'j1');
  mkdirSync(join(config.spool.work, 'j1', 'source'), { recursive: true });
  writeFileSync(join(config.spool.work, 'j1', 'source', 'vm-j1.vmdk'), 'the only copy');
  return { config, queue };
}

const failure: PipelineResult = {
  outputs: {},
  sourceId: null,
  records: [],
  error: errorRecord(new Hyper2kvmError('fetch.corrupt', 'no', { advice: 'x' })),
  failedStage: 'fetch',
  cancelled: false,
};

/** A pipeline that converts: the delivered disk and its checkpoints, as the stages leave them. */
function converts(config: Config): JobParts['runPipeline'] {
  return async ({ store }) => {
    const at = (...names: string[]) => join(config.spool.work, 'j1', ...names);
    const disk = 'the converted disk';
    for (const name of ['out', 'boot']) mkdirSync(at(name));
    writeFileSync(at('out', 'web01-disk0.qcow2'), disk);
    for (const name of ['plan.json', 'plan.diff']) writeFileSync(at(name), '{}\n');
    for (const name of ['boot.json', 'serial.log']) writeFileSync(at('boot', name), '{}');
    const sha256 = createHash('sha256').update(disk).digest('hex');
    const outputs: Record<string, unknown> = {
      ...sampleOutputs(),
      convert: { disks: [{ ...sampleConvert.disks[0], sha256 }] },
      validate: { boot: { ...sampleBoot, screens: [] }, directory: 'boot' },
    };
    const records = sampleRecords();
    for (const record of records)
      await store.save({
        ...{ stage: record.stage, id: record.stage, output: outputs[record.stage], record },
        timestamp: record.finished_at ?? '',
      });
    const source = { directory: at('source'), entries: ['vm-j1.vmdk'] };
    const id = sourceId(await listSource(source.directory, source.entries));
    return { outputs, sourceId: id, records, error: null, failedStage: null, cancelled: false };
  };
}

async function work(
  config: Config,
  queue: QueueStore,
  runPipeline: JobParts['runPipeline'],
  notifications: JobParts['notifications'] = () => [],
): Promise<void> {
  const { worker } = daemonParts(queue, config, { runPipeline, notifications });
  worker.start();
  onTestFinished(() => worker.stop());
  for (let tries = 0; tries < 400; tries++) {
    const state = (await queue.jobs.get('j1'))?.state ?? '';
    if (['converted', 'failed', 'cancelled'].includes(state)) return;
    await sleep(20);
  }
}

function sourceOf(config: Config): string[] {
  const [date = 'none'] = readdirSync(config.spool.failed);
  const results = readdirSync(join(config.spool.failed, date));
  expect(results).toEqual(['vm-j1-j1']);
  return readdirSync(join(config.spool.failed, date, 'vm-j1-j1', 'source'));
}

describe('Worker', () => {
  it('tells once that a job is converted, although the database failed at its last change', async () => {
    const { config, queue } = await spool();
    let refusals = 0;
    const finish: TestQueue['runs']['finish'] = async (...args) => {
      if (refusals++ > 0) return queue.runs.finish(...args);
      // The last statement of the transaction: job and notification are written by then.
      queue.database.exec(
        `CREATE TEMP TRIGGER refuse BEFORE UPDATE ON checkpoints BEGIN SELECT RAISE(FAIL, 'disk I/O error'); END`,
      );
      return queue.runs.finish(...args).finally(() => queue.database.exec('DROP TRIGGER refuse'));
    };
    const refusing = { ...queue, runs: { ...queue.runs, finish } };
    await work(config, refusing, converts(config), oneNotification);
    expect({ refusals, state: (await queue.jobs.get('j1'))?.state }).toEqual({
      ...{ refusals: 2, state: 'converted' },
    });
    expect(await queue.outbox.counts()).toEqual([{ target: 'test', outcome: 'pending', count: 1 }]);
  });

  it('fails a job whose drop is written to between its conversion and its archive', async () => {
    const { config, queue } = await spool();
    const disk = join(config.spool.work, 'j1', 'source', 'vm-j1.vmdk');
    await work(config, queue, async (request) => {
      const result = await converts(config)(request);
      const { atime, mtime } = statSync(disk);
      writeFileSync(disk, 'the evil copy');
      utimesSync(disk, atime, mtime);
      return result;
    });
    expect(await queue.jobs.get('j1')).toMatchObject({
      ...{ state: 'failed', error: { code: 'source.changed' } },
    });
    expect(readdirSync(config.spool.archive)).toEqual([]);
    expect(sourceOf(config)).toEqual(['vm-j1.vmdk']);
  });

  it('carries on a job that the database did not let it put back into the queue', async () => {
    const { config, queue } = await spool();
    let runs = 0;
    let refusals = 0;
    const requeue: TestQueue['runs']['requeue'] = async (...args) => {
      if (refusals++ > 0) return queue.runs.requeue(...args);
      throw Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR' });
    };
    await work(config, { ...queue, runs: { ...queue.runs, requeue } }, async () => {
      runs += 1;
      if (runs === 1) throw Object.assign(new Error('database is locked'), { code: 'SQLITE_BUSY' });
      return failure;
    });
    expect({ runs, refusals, state: (await queue.jobs.get('j1'))?.state }).toEqual({
      ...{ runs: 2, refusals: 2, state: 'failed' },
    });
    expect(sourceOf(config)).toEqual(['vm-j1.vmdk']);
  });

  it('does not decide a second time what it has published', async () => {
    const { config, queue } = await spool();
    let refusals = 0;
    const finish: TestQueue['runs']['finish'] = async (...args) => {
      if (refusals++ > 0) return queue.runs.finish(...args);
      throw new Error('not to be told from a failure of the VM');
    };
    await work(config, { ...queue, runs: { ...queue.runs, finish } }, converts(config));
    expect({ refusals, ...(await queue.jobs.get('j1')) }).toMatchObject({
      ...{ refusals: 2, state: 'converted', outcome: 'converted', error: null },
    });
    const [date = 'none'] = readdirSync(config.spool.archive);
    expect(readdirSync(join(config.spool.archive, date))).toEqual(['vm-j1-j1']);
    expect(readdirSync(config.spool.failed)).toEqual([]);
  });

  it.runIf(process.geteuid?.() === 0)(
    'commits a published job whose work directory has what may not be removed',
    async () => {
      const { config, queue } = await spool();
      const kept = join(config.spool.work, 'j1', 'source', 'vm-j1.vmdk');
      await run('chattr', ['+i', kept]);
      // The drop is not moved into the bundle: it is to be deleted, and cannot.
      const deleting = configSchema.parse({ ...config, archive: { source: 'delete' } });
      await work(deleting, queue, converts(config));
      const [hidden = ''] = readdirSync(config.spool.work);
      await run('chattr', ['-i', join(config.spool.work, hidden, 'source', 'vm-j1.vmdk')]);
      expect(await queue.jobs.get('j1')).toMatchObject({
        state: 'converted',
        outcome: 'converted',
        error: null,
      });
      expect(hidden).toMatch(/^\.removing-j1-/);
    },
  );

  it('keeps the source of a job that is cancelled while `retry` has taken half of it back', async () => {
    const { config, queue } = await spool();
    const date = new Date().toISOString().slice(0, 10);
    const failed = join(config.spool.failed, date, 'vm-j1-j1');
    mkdirSync(failed, { recursive: true });
    writeFileSync(join(failed, 'reason.json'), '{}');
    // As a daemon leaves it that was killed in `reopenJob` before the failed directory is removed.
    const cancelled = errorRecord(new Hyper2kvmError('job.cancelled', 'cancelled', { advice: 'x' }));
    queue.set('j1', {
      reopen: failed,
      directory: failed,
      outcome: 'cancelled',
      error: cancelled,
      finishedAt: new Date().toISOString(),
    });
    await work(config, queue, () => Promise.reject(new Error('a cancelled job does not run')));
    expect(await queue.jobs.get('j1')).toMatchObject({ state: 'cancelled', reopen: null });
    expect(sourceOf(config)).toEqual(['vm-j1.vmdk']);
    expect(readdirSync(config.spool.work)).toEqual([]);
  });

  it('puts a job whose source is still in failed/ back there when it is cancelled before it runs again', async () => {
    const { config, queue } = await spool();
    const failed = join(config.spool.failed, '2026-01-31', 'vm-j1-j1');
    mkdirSync(failed, { recursive: true });
    renameSync(join(config.spool.work, 'j1', 'source'), join(failed, 'source'));
    const today = join(config.spool.failed, new Date().toISOString().slice(0, 10), 'vm-j1-j1');
    const cancelled = errorRecord(new Hyper2kvmError('job.cancelled', 'cancelled', { advice: 'x' }));
    queue.set('j1', {
      reopen: failed,
      directory: today,
      outcome: 'cancelled',
      error: cancelled,
      finishedAt: new Date().toISOString(),
    });
    await work(config, queue, () => Promise.reject(new Error('a cancelled job does not run')));
    expect(existsSync(failed)).toBe(false);
    expect(readdirSync(join(today, 'source'))).toEqual(['vm-j1.vmdk']);
  });
});

/** `retry` of a drop of 4 MiB in failed/, on another filesystem than the work directory, which has 1 MiB. */
async function reopenOnFullDisk(change: Partial<Job> = {}) {
  const { config, queue } = await spool();
  const failed = join(config.spool.failed, '2026-01-31', 'vm-j1-j1');
  mkdirSync(failed, { recursive: true });
  renameSync(join(config.spool.work, 'j1', 'source'), join(failed, 'source'));
  writeFileSync(join(failed, 'source', 'vm-j1.vmdk'), Buffer.alloc(4 * 1024 ** 2, 1));
  await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', config.spool.work]);
  onTestFinished(async () => void (await run('umount', [config.spool.work])));
  queue.set('j1', { reopen: failed, directory: failed, ...change });
  return { config, queue, failed };
}

describe.runIf(process.geteuid?.() === 0)('`retry` onto a disk that is full', () => {
  const unused = () => Promise.reject(new Error('nothing is there to be converted'));

  it('waits for space, with nothing of the copy left, and goes on when there is some', async () => {
    const { config, queue, failed } = await reopenOnFullDisk({ reservedBytes: 8 * 1024 ** 2 });
    const ended = work(config, queue, async () => failure);
    await expect.poll(async () => (await queue.jobs.get('j1'))?.waitsForBytes ?? 0).toBe(8 * 1024 ** 2);
    await expect.poll(() => queue.jobs.get('j1')).toMatchObject({ state: 'queued', reopen: failed });
    expect(readdirSync(join(config.spool.work, 'j1'))).toEqual([]);
    await run('mount', ['-o', 'remount,size=16m', config.spool.work]);
    await ended;
    expect(await queue.jobs.get('j1')).toMatchObject({ state: 'failed', error: { code: 'fetch.corrupt' } });
    expect(existsSync(failed)).toBe(false);
  });

  it('ends, with the drop where it was, when all that was asked for is free and does not do', async () => {
    const { config, queue, failed } = await reopenOnFullDisk({ reservedBytes: 1 });
    await work(config, queue, unused);
    expect(await queue.jobs.get('j1')).toMatchObject({
      ...{ state: 'failed', outcome: 'failed', reopen: null, directory: failed },
      error: { code: 'host.no-space' },
    });
    expect(readdirSync(join(failed, 'source'))).toEqual(['vm-j1.vmdk']);
    expect(readdirSync(config.spool.work)).toEqual([]);
  });

  it('does not keep a job that is cancelled', async () => {
    const { config, queue, failed } = await reopenOnFullDisk({
      outcome: 'cancelled',
      error: errorRecord(new Hyper2kvmError('job.cancelled', 'cancelled', { advice: 'x' })),
      finishedAt: new Date().toISOString(),
    });
    await work(config, queue, unused);
    expect(await queue.jobs.get('j1')).toMatchObject({ state: 'cancelled', reopen: null, directory: failed });
    expect(readdirSync(join(failed, 'source'))).toEqual(['vm-j1.vmdk']);
    expect(readdirSync(config.spool.work)).toEqual([]);
  });
});

describe('a run whose job was given to another one', () => {
  /** A worker whose pipeline has begun, on a queue in which the job belongs to somebody else from now on. */
  async function takenOver(pipeline: JobParts['runPipeline']) {
    const config = spoolConfig(scratchDirectory(), { retry: { backoff_seconds: 0.01 } });
    const queue = distantQueue();
    await enqueue(queue, 'j1');
    mkdirSync(join(config.spool.work, 'j1', 'source'), { recursive: true });
    let begin = () => {};
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const parts = daemonParts(queue, config, {
      runPipeline(request) {
        begin();
        return pipeline(request);
      },
    });
    onTestFinished(() => parts.worker.stop());
    parts.worker.start();
    await begun;
    queue.set('j1', { owner: 'another host', token: 2 });
    return { config, ...parts, queue };
  }
  const others = { state: 'running', owner: 'another host', token: 2, outcome: null };

  it('writes, publishes and puts back nothing', async () => {
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const { config, queue, worker } = await takenOver(async () => {
      await ended;
      return failure;
    });
    end();
    await sleep(100);
    worker.kick();
    await sleep(100);
    expect(await queue.jobs.get('j1')).toMatchObject({ ...others, records: [] });
    expect(readdirSync(config.spool.failed)).toEqual([]);
  });

  it('is ended when it is found out', async () => {
    vi.useFakeTimers({ toFake: ['setInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const reasons: unknown[] = [];
    const { queue } = await takenOver(async ({ signal }) => {
      await sleep(5_000, undefined, { signal }).catch(() => undefined);
      reasons.push(signal.reason);
      return { ...failure, cancelled: true };
    });
    vi.advanceTimersByTime(5_000);
    await expect.poll(() => reasons).toMatchObject([{ code: 'queue.lease-lost' }]);
    await sleep(50);
    expect(await queue.jobs.get('j1')).toMatchObject(others);
  });
});
