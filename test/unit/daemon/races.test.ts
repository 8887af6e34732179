import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { configSchema } from '../../../src/config/schema.js';
import { Admission } from '../../../src/daemon/admission.js';
import { Board } from '../../../src/daemon/live-progress.js';
import { type OperationParts, Operations } from '../../../src/daemon/operations.js';
import type { JobRunParts } from '../../../src/daemon/process-job.js';
import { Worker } from '../../../src/daemon/worker.js';
import { PipelineLanes } from '../../../src/engine/lanes.js';
import { cancelRecord } from '../../../src/engine/run-stage.js';
import { executePipeline } from '../../../src/engine/run-stages.js';
import type { PipelineRequest, PipelineResult } from '../../../src/engine/types.js';
import { errorRecord, Hyper2kvmError } from '../../../src/errors/error.js';
import { createLog } from '../../../src/host/log.js';
import type { NotifyEvent } from '../../../src/notifications/event.js';
import { acceptBoot } from '../../../src/stages/validate/accept.js';
import { type ValidateOutput, validateOutput } from '../../../src/stages/validate/output.js';
import { noGuest, testStage } from '../engine/fakes.js';
import { enqueue, scratchDirectory, scratchQueue } from '../queue/scratch.js';
import { sampleBoot } from '../report/sample.js';

const FINAL = ['converted', 'failed', 'cancelled'];

/**
 * The daemon's parts around the queue, without stages: `pipeline` stands for them. Space is asked for by
 * `room`, so that a test can act meanwhile.
 */
function daemon(options: {
  pipeline: JobRunParts['runPipeline'];
  room?(who: string): Promise<boolean>;
  settleSeconds?: number;
  notify?: JobRunParts['notify'];
}) {
  const directory = scratchDirectory();
  const at = (name: string) => join(directory, name);
  for (const name of ['incoming', 'work', 'archive', 'failed']) mkdirSync(at(name));
  const config = configSchema.parse({
    spool: { incoming: at('incoming'), work: at('work'), archive: at('archive'), failed: at('failed') },
    watch: { settle_seconds: options.settleSeconds ?? 1 },
    retry: { backoff_seconds: 0.01 },
    workers: { jobs: 1 },
  });
  const queue = scratchQueue(directory);
  const add = (job: string) => {
    mkdirSync(join(config.spool.work, job, 'source'), { recursive: true });
    writeFileSync(join(config.spool.work, job, 'source', `vm-${job}.vmdk`), 'the only copy');
    return enqueue(queue, job);
  };
  const log = createLog({ level: 'fatal', writer: () => {} });
  const admission = new Admission(queue, config.spool.work, log.logger, () => {});
  const { room } = options;
  if (room !== undefined) admission.hasFree = (who) => room(who);
  const board = new Board();
  const parts = {
    ...{ config: () => config, queue, board, log, admission, lanes: new PipelineLanes(config.workers) },
    ...{ notify: options.notify ?? (() => {}), onJobEnd: () => {}, runPipeline: options.pipeline },
  };
  const worker = new Worker(parts);
  onTestFinished(() => worker.stop());
  const operations = new Operations({
    ...{
      queue,
      board,
      admission,
      worker,
      config: () => config,
      waiting: () => [],
      wake: () => worker.kick(),
    },
    stageNames: [],
  } as unknown as OperationParts);
  const ended = async (job: string) => {
    for (let tries = 0; tries < 250 && !FINAL.includes(queue.jobs.get(job)?.state ?? ''); tries++)
      await sleep(20);
    return queue.jobs.get(job);
  };
  const sourceOf = (job: string) => readdirSync(join(queue.jobs.get(job)?.directory ?? '', 'source'));
  return { config, queue, add, admission, worker, operations, ended, sourceOf };
}

function result(code: string | null, extra: Partial<PipelineResult> = {}): PipelineResult {
  const error = code === null ? null : errorRecord(Hyper2kvmError.of(code, 'as the test wants it'));
  return { outputs: {}, sourceId: null, records: [], error, failedStage: null, cancelled: false, ...extra };
}

const never = () => Promise.reject(new Error('it was not to be started'));

describe('what a user asks for while the worker decides what to start', () => {
  it('a cancelled job is not started from an older copy of its row', async () => {
    let act = () => {};
    const { add, queue, worker, operations, ended, sourceOf } = daemon({
      pipeline: never,
      room: async () => {
        act();
        return true;
      },
    });
    add('j1');
    queue.jobs.update('j1', { waitsForBytes: 1 });
    act = () => {
      act = () => {};
      operations.cancel('j1');
    };
    worker.start();
    expect(await ended('j1')).toMatchObject({ state: 'cancelled', error: { code: 'job.cancelled' } });
    expect(sourceOf('j1')).toEqual(['vm-j1.vmdk']);
  });

  it('nothing is started after a pause', async () => {
    let act = () => {};
    const { add, queue, worker, admission } = daemon({
      pipeline: never,
      room: async () => {
        act();
        return true;
      },
    });
    add('j1');
    queue.jobs.update('j1', { waitsForBytes: 1 });
    act = () => admission.pause();
    worker.start();
    await sleep(100);
    expect(queue.jobs.get('j1')).toMatchObject({ state: 'queued', startedAt: null });
  });

  it('the job that has become more important is the next', async () => {
    const order: string[] = [];
    let act = () => {};
    const { add, queue, worker, operations, ended } = daemon({
      pipeline: async ({ job }) => {
        order.push(job.id);
        return result('fetch.corrupt');
      },
      room: async () => {
        act();
        return true;
      },
    });
    for (const job of ['j1', 'j2', 'j3']) add(job);
    queue.jobs.update('j1', { waitsForBytes: 1 });
    act = () => {
      act = () => {};
      operations.priority('j3', 5);
    };
    worker.start();
    await ended('j2');
    expect(order).toEqual(['j3', 'j1', 'j2']);
  });
});

describe('cancel at any moment of a run', () => {
  const moments: Record<string, (request: PipelineRequest, cancel: () => void) => Promise<PipelineResult>> = {
    'while it runs': async ({ signal }, cancel) => {
      cancel();
      expect(signal.aborted).toBe(true);
      return result('job.cancelled', { cancelled: true, failedStage: 'fetch' });
    },
    'while its stage fails by itself': async ({ signal }, cancel) => {
      cancel();
      const error = cancelRecord(signal, new Error('and the disk was bad, too'));
      return result(null, { error, cancelled: true, failedStage: 'convert' });
    },
    'when the last stage has just ended': async (_request, cancel) => {
      cancel();
      return result(null);
    },
    'when a stage has just failed': async (_request, cancel) => {
      cancel();
      return result('fetch.corrupt', { failedStage: 'fetch' });
    },
    'when the disk has just been full': async (_request, cancel) => {
      cancel();
      return result('host.enospc', { failedStage: 'convert' });
    },
    'when the database has just been locked': async (_request, cancel) => {
      cancel();
      throw Object.assign(new Error('database is locked'), { code: 'SQLITE_BUSY' });
    },
    'while its drop is waited for to be quiet': async (_request, cancel) => {
      setTimeout(cancel, 50);
      return result('source.changed', { failedStage: 'fetch' });
    },
  };

  it.each(Object.keys(moments))('%s: it ends cancelled, with its source, and runs once', async (moment) => {
    let runs = 0;
    const { add, worker, ended, sourceOf, operations, queue } = daemon({
      settleSeconds: 5,
      pipeline: async (request) => {
        runs += 1;
        return moments[moment]!(request, () => {
          operations.cancel('j1');
          // What a daemon would find that is killed now.
          expect(queue.jobs.get('j1')).toMatchObject({ outcome: 'cancelled', state: 'running' });
        });
      },
    });
    add('j1');
    worker.start();
    expect(await ended('j1')).toMatchObject({ state: 'cancelled', error: { code: 'job.cancelled' } });
    expect(runs).toBe(1);
    expect(sourceOf('j1')).toEqual(['vm-j1.vmdk']);
    if (moment !== 'while its stage fails by itself') return;
    expect(queue.jobs.get('j1')).toMatchObject({
      failedStage: 'convert',
      error: { causes: ['internal.unexpected: and the disk was bad, too'] },
    });
  });

  it('a converted job that waits for room in archive/ can be cancelled', async () => {
    const { add, config, queue, worker, operations, ended, sourceOf } = daemon({ pipeline: never });
    add('j1');
    const directory = join(config.spool.archive, '2026-01-31', 'vm-j1-j1');
    queue.jobs.update('j1', { outcome: 'converted', directory, finishedAt: '2026-01-31T00:00:00.000Z' });
    operations.cancel('j1');
    worker.start();
    expect(await ended('j1')).toMatchObject({ state: 'cancelled' });
    expect(sourceOf('j1')).toEqual(['vm-j1.vmdk']);
    expect(existsSync(directory)).toBe(false);
  });
});

describe('a boot that failed', () => {
  const failure = { signature: 'kernel-panic', meaning: 'It panicked.', advice: 'Look.' };
  const boot = { ...sampleBoot, verdict: 'failed' as const, level: 'kernel' as const, failure, screens: [] };

  it('is known to show, list, the notification and the metric; a retry that accepts it does not boot again', async () => {
    const ran: string[] = [];
    const told: NotifyEvent[] = [];
    const stages = [
      testStage('validate', ran, {
        output: validateOutput,
        accept: (output, options) => acceptBoot(output as ValidateOutput, options),
        act: async () => ({ boot, directory: null, content: null }),
      }),
      testStage('after', ran, { act: () => Promise.reject(new Hyper2kvmError('extra.failed', 'the end')) }),
    ];
    const { add, worker, operations, ended, queue } = daemon({
      pipeline: (request) => executePipeline(request, { stages, openGuest: noGuest }),
      notify: (event) => void told.push(event),
    });
    add('j1');
    worker.start();
    expect(await ended('j1')).toMatchObject({ state: 'failed', error: { code: 'validate.kernel-panic' } });
    const seen = { verdict: 'failed', level: 'kernel', warnings: [] };
    expect(operations.show('j1')).toMatchObject({
      boot: seen,
      checkpoint: { completed_stages: [] },
    });
    expect(operations.list({ state: 'failed' })).toMatchObject([{ boot: seen }]);
    expect(told).toMatchObject([{ event: 'failed', job: { boot: seen } }]);
    expect(queue.statistics.boots()).toEqual([{ verdict: 'failed', count: 1 }]);

    const again = async (set?: Record<string, string>) => {
      await operations.retry('j1', set === undefined ? {} : { set });
      await ended('j1');
    };
    await again();
    expect(ran).toEqual(['validate', 'validate']);
    await again({ 'validate.required': 'false' });
    expect(ran).toEqual(['validate', 'validate', 'after']);
    expect(queue.jobs.get('j1')?.error?.code).toBe('extra.failed');
  });
});

describe('space', () => {
  it('a job that cannot fit fails with its numbers, and runs once', async () => {
    let runs = 0;
    const stage = testStage('flatten', [], {
      act: async ({ reserve }) => {
        runs += 1;
        await reserve(1e18);
      },
    });
    const { add, worker, ended, sourceOf } = daemon({
      pipeline: (request) => executePipeline(request, { stages: [stage], openGuest: noGuest }),
    });
    add('j1');
    worker.start();
    expect(await ended('j1')).toMatchObject({
      state: 'failed',
      failedStage: 'flatten',
      error: { code: 'host.no-space', message: expect.stringContaining('888 PiB') },
    });
    expect(runs).toBe(1);
    expect(sourceOf('j1')).toEqual(['vm-j1.vmdk']);
  });

  it('a job that waits for others is queued until they are done, without running again and again', async () => {
    const ran: string[] = [];
    const { add, worker, ended, queue } = daemon({
      pipeline: (request) => {
        const stages = [
          testStage('flatten', ran, { act: ({ reserve }) => reserve(1) }),
          testStage('convert', ran, {
            act: () => Promise.reject(new Hyper2kvmError('fetch.corrupt', 'the end')),
          }),
        ];
        return executePipeline(request, { stages, openGuest: noGuest });
      },
    });
    add('j1');
    // Another one has all the space there is.
    add('big');
    queue.jobs.start('big');
    queue.jobs.update('big', { reservedBytes: 1e18 });
    worker.start();
    await expect.poll(() => queue.jobs.get('j1')?.waitsForBytes ?? null).not.toBeNull();
    worker.kick();
    await sleep(200);
    expect(queue.jobs.get('j1')?.state).toBe('queued');
    expect(ran).toEqual(['flatten']);
    queue.jobs.update('big', { state: 'cancelled', reservedBytes: 0 });
    worker.kick();
    expect(await ended('j1')).toMatchObject({ error: { code: 'fetch.corrupt' } });
    expect(ran).toEqual(['flatten', 'flatten', 'convert']);
  });

  it('a drop that is written to each time it is converted fails in the end, and keeps no worker for ever', async () => {
    let runs = 0;
    const { add, worker, ended, sourceOf } = daemon({
      pipeline: async () => {
        runs += 1;
        return result('source.changed', { failedStage: 'fetch' });
      },
    });
    add('j1');
    worker.start();
    await expect
      .poll(() => ended('j1'), { timeout: 20_000 })
      .toMatchObject({
        state: 'failed',
        error: { code: 'source.changed' },
      });
    expect(runs).toBe(6);
    expect(sourceOf('j1')).toEqual(['vm-j1.vmdk']);
  });

  it('a job that meets a full disk again and again, though all that it needs is free, ends', async () => {
    let runs = 0;
    const { add, worker, ended } = daemon({
      pipeline: async () => {
        runs += 1;
        return result('host.enospc', { failedStage: 'convert' });
      },
    });
    add('j1');
    worker.start();
    expect(await ended('j1')).toMatchObject({
      state: 'failed',
      failedStage: 'convert',
      error: { code: 'host.no-space' },
    });
    expect(runs).toBe(6);
  });
});

describe('retry', () => {
  it('of two at the same moment one is refused: a job that runs is not queued a second time', async () => {
    let runs = 0;
    const { add, worker, operations, ended, queue } = daemon({
      pipeline: async () => {
        runs += 1;
        return result('fetch.corrupt');
      },
    });
    add('j1');
    worker.start();
    await ended('j1');
    const answers = await Promise.allSettled([operations.retry('j1', {}), operations.retry('j1', {})]);
    expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(answers.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { code: 'api.wrong-state' },
    });
    await ended('j1');
    expect(runs).toBe(2);
    expect(queue.jobs.get('j1')?.state).toBe('failed');
  });

  it('of a job whose failed directory has gone meanwhile ends, and is not tried for ever', async () => {
    const { add, config, worker, ended, queue } = daemon({ pipeline: never });
    add('j1');
    queue.jobs.update('j1', { reopen: join(config.spool.failed, '2026-01-31', 'vm-j1-j1') });
    // As an old database has it: the job is finished long since, and nothing of it is in work/.
    rmSync(join(config.spool.work, 'j1'), { recursive: true });
    worker.start();
    expect(await ended('j1')).toMatchObject({ state: 'failed', error: { code: 'queue.source-gone' } });
  });
});
