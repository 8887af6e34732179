import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { JobParts } from '../../../src/daemon/process-job.js';
import { cancelRecord } from '../../../src/engine/run-stage.js';
import { executePipeline } from '../../../src/engine/run-stages.js';
import type { PipelineRequest, PipelineResult } from '../../../src/engine/types.js';
import { errorRecord, Hyper2kvmError } from '../../../src/errors/error.js';
import { acceptBoot } from '../../../src/stages/validate/accept.js';
import { type ValidateOutput, validateOutput } from '../../../src/stages/validate/output.js';
import { noGuest, testStage } from '../engine/fakes.js';
import { enqueue, QUEUES, scratchDirectory, scratchQueue, type TestQueue } from '../queue/scratch.js';
import { sampleBoot } from '../report/sample.js';
import { daemonParts, oneNotification, spoolConfig } from './support.js';

const FINAL = ['converted', 'failed', 'cancelled'];

type OpenQueue = (directory?: string) => TestQueue;

/**
 * The daemon's parts around the queue, without stages: `pipeline` stands for them. Space is asked for by
 * `room`, so that a test can act meanwhile.
 */
function daemon(
  open: OpenQueue,
  options: {
    pipeline: JobParts['runPipeline'];
    room?(): Promise<boolean>;
    settleSeconds?: number;
    notifications?: JobParts['notifications'];
  },
) {
  const directory = scratchDirectory();
  const config = spoolConfig(directory, {
    watch: { settle_seconds: options.settleSeconds ?? 1 },
    retry: { backoff_seconds: 0.01 },
    workers: { jobs: 1 },
  });
  const queue = open(directory);
  const add = (job: string) => {
    mkdirSync(join(config.spool.work, job, 'source'), { recursive: true });
    writeFileSync(join(config.spool.work, job, 'source', `vm-${job}.vmdk`), 'the only copy');
    return enqueue(queue, job);
  };
  const { pipeline: runPipeline, notifications = () => [] } = options;
  const { admission, worker, operations } = daemonParts(queue, config, { runPipeline, notifications });
  const { room } = options;
  if (room !== undefined) admission.hasFree = () => room();
  onTestFinished(() => worker.stop());
  const ended = async (job: string) => {
    for (let tries = 0; tries < 250; tries++) {
      const now = await queue.jobs.get(job);
      if (FINAL.includes(now?.state ?? '')) return now;
      await sleep(20);
    }
    return queue.jobs.get(job);
  };
  const sourceOf = async (job: string) =>
    readdirSync(join((await queue.jobs.get(job))?.directory ?? '', 'source'));
  return { config, queue, add, admission, worker, operations, ended, sourceOf };
}

function result(code: string | null, extra: Partial<PipelineResult> = {}): PipelineResult {
  const error = code === null ? null : errorRecord(Hyper2kvmError.of(code, 'as the test wants it'));
  return { outputs: {}, sourceId: null, records: [], error, failedStage: null, cancelled: false, ...extra };
}

const never = () => Promise.reject(new Error('it was not to be started'));

describe.each(QUEUES)('what a user asks for while the worker decides what to start (%s)', (_name, open) => {
  it('a cancelled job is not started from an older copy of its row', async () => {
    let act = async () => {};
    const { add, queue, worker, operations, ended, sourceOf } = daemon(open, {
      pipeline: never,
      room: async () => {
        await act();
        return true;
      },
    });
    await add('j1');
    queue.set('j1', { waitsForBytes: 1 });
    act = async () => {
      act = async () => {};
      await operations.cancel('j1');
    };
    worker.start();
    expect(await ended('j1')).toMatchObject({ state: 'cancelled', error: { code: 'job.cancelled' } });
    expect(await sourceOf('j1')).toEqual(['vm-j1.vmdk']);
  });

  it('nothing is started after a pause', async () => {
    let act = async () => {};
    const { add, queue, worker, admission } = daemon(open, {
      pipeline: never,
      room: async () => {
        await act();
        return true;
      },
    });
    await add('j1');
    queue.set('j1', { waitsForBytes: 1 });
    act = () => admission.pause();
    worker.start();
    await sleep(100);
    expect(await queue.jobs.get('j1')).toMatchObject({ state: 'queued', startedAt: null });
  });

  it('the job that has become more important is the next', async () => {
    const order: string[] = [];
    let act = async () => {};
    const { add, queue, worker, operations, ended } = daemon(open, {
      pipeline: async ({ job }) => {
        order.push(job.id);
        return result('fetch.corrupt');
      },
      room: async () => {
        await act();
        return true;
      },
    });
    for (const job of ['j1', 'j2', 'j3']) await add(job);
    queue.set('j1', { waitsForBytes: 1 });
    act = async () => {
      act = async () => {};
      await operations.priority('j3', 5);
    };
    worker.start();
    await ended('j2');
    expect(order).toEqual(['j3', 'j1', 'j2']);
  });
});

describe.each(QUEUES)('cancel at any moment of a run (%s)', (_name, open) => {
  type Moment = (request: PipelineRequest, cancel: () => Promise<void>) => Promise<PipelineResult>;
  const moments: Record<string, Moment> = {
    'while it runs': async ({ signal }, cancel) => {
      await cancel();
      expect(signal.aborted).toBe(true);
      return result('job.cancelled', { cancelled: true, failedStage: 'fetch' });
    },
    'while its stage fails by itself': async ({ signal }, cancel) => {
      await cancel();
      const error = cancelRecord(signal, new Error('and the disk was bad, too'));
      return result(null, { error, cancelled: true, failedStage: 'convert' });
    },
    'when the last stage has just ended': async (_request, cancel) => {
      await cancel();
      return result(null);
    },
    'when a stage has just failed': async (_request, cancel) => {
      await cancel();
      return result('fetch.corrupt', { failedStage: 'fetch' });
    },
    'when the disk has just been full': async (_request, cancel) => {
      await cancel();
      return result('host.enospc', { failedStage: 'convert' });
    },
    'when the database has just been locked': async (_request, cancel) => {
      await cancel();
      throw Object.assign(new Error('database is locked'), { code: 'SQLITE_BUSY' });
    },
    'while its drop is waited for to be quiet': async (_request, cancel) => {
      setTimeout(() => void cancel(), 50);
      return result('source.changed', { failedStage: 'fetch' });
    },
  };

  it.each(Object.keys(moments))('%s: it ends cancelled, with its source, and runs once', async (moment) => {
    let runs = 0;
    const { add, worker, ended, sourceOf, operations, queue } = daemon(open, {
      settleSeconds: 5,
      pipeline: async (request) => {
        runs += 1;
        return moments[moment]!(request, async () => {
          await operations.cancel('j1');
          // What a daemon would find that is killed now.
          expect(await queue.jobs.get('j1')).toMatchObject({ outcome: 'cancelled' });
        });
      },
    });
    await add('j1');
    worker.start();
    expect(await ended('j1')).toMatchObject({ state: 'cancelled', error: { code: 'job.cancelled' } });
    expect(runs).toBe(1);
    expect(await sourceOf('j1')).toEqual(['vm-j1.vmdk']);
    if (moment !== 'while its stage fails by itself') return;
    expect(await queue.jobs.get('j1')).toMatchObject({
      failedStage: 'convert',
      error: { causes: ['internal.unexpected: and the disk was bad, too'] },
    });
  });

  it('a converted job that waits for room in archive/ can be cancelled', async () => {
    const { add, config, queue, worker, operations, ended, sourceOf } = daemon(open, { pipeline: never });
    await add('j1');
    const directory = join(config.spool.archive, '2026-01-31', 'vm-j1-j1');
    queue.set('j1', { outcome: 'converted', directory, finishedAt: '2026-01-31T00:00:00.000Z' });
    await operations.cancel('j1');
    worker.start();
    expect(await ended('j1')).toMatchObject({ state: 'cancelled' });
    expect(await sourceOf('j1')).toEqual(['vm-j1.vmdk']);
    expect(existsSync(directory)).toBe(false);
  });
});

describe.each(QUEUES)('cancel between the start of a job and the answer of the queue (%s)', (_name, open) => {
  it('ends what runs of it', async () => {
    let cancel = async () => {};
    const signals: boolean[] = [];
    const { add, worker, operations, ended, sourceOf } = daemon(
      (directory) => {
        const queue = open(directory);
        const start: typeof queue.runs.start = async (id) => {
          const run = await queue.runs.start(id);
          await cancel();
          return run;
        };
        return { ...queue, runs: { ...queue.runs, start } };
      },
      {
        async pipeline({ signal }) {
          signals.push(signal.aborted);
          return result(signal.aborted ? 'job.cancelled' : 'fetch.corrupt', { cancelled: signal.aborted });
        },
      },
    );
    await add('j1');
    cancel = async () => void (await operations.cancel('j1'));
    worker.start();
    expect(await ended('j1')).toMatchObject({ state: 'cancelled', error: { code: 'job.cancelled' } });
    expect(await sourceOf('j1')).toEqual(['vm-j1.vmdk']);
    expect(signals).toEqual([true]);
  });
});

describe.each(QUEUES)('a boot that failed (%s)', (_name, open) => {
  const failure = { signature: 'kernel-panic', meaning: 'It panicked.', advice: 'Look.' };
  const boot = { ...sampleBoot, verdict: 'failed' as const, level: 'kernel' as const, failure, screens: [] };

  it('is known to show, list, the notification and the metric; a retry that accepts it does not boot again', async () => {
    const ran: string[] = [];
    const stages = [
      testStage('validate', ran, {
        output: validateOutput,
        accept: (output, options) => acceptBoot(output as ValidateOutput, options),
        act: async () => ({ boot, directory: null, content: null }),
      }),
      testStage('after', ran, { act: () => Promise.reject(new Hyper2kvmError('extra.failed', 'the end')) }),
    ];
    const { add, worker, operations, ended, queue } = daemon(open, {
      pipeline: (request) => executePipeline(request, { stages, openGuest: noGuest }),
      notifications: oneNotification,
    });
    await add('j1');
    worker.start();
    expect(await ended('j1')).toMatchObject({ state: 'failed', error: { code: 'validate.kernel-panic' } });
    const seen = { verdict: 'failed', level: 'kernel', warnings: [] };
    expect(await operations.show('j1')).toMatchObject({
      boot: seen,
      checkpoint: { completed_stages: [] },
    });
    expect(await operations.list({ state: 'failed' })).toMatchObject([{ boot: seen }]);
    const told = await queue.outbox.due('test', Date.now());
    expect(JSON.parse(told?.body ?? '')).toMatchObject({ event: 'failed', job: { boot: seen } });
    expect(await queue.statistics.boots()).toEqual([{ verdict: 'failed', count: 1 }]);

    const again = async (set?: Record<string, string>) => {
      await operations.retry('j1', set === undefined ? {} : { set });
      await ended('j1');
    };
    await again();
    expect(ran).toEqual(['validate', 'validate']);
    await again({ 'validate.required': 'false' });
    expect(ran).toEqual(['validate', 'validate', 'after']);
    expect((await queue.jobs.get('j1'))?.error?.code).toBe('extra.failed');
  });
});

describe.each(QUEUES)('space (%s)', (_name, open) => {
  it('a job that cannot fit fails with its numbers, and runs once', async () => {
    let runs = 0;
    const stage = testStage('flatten', [], {
      act: async ({ reserve }) => {
        runs += 1;
        await reserve(1e18);
      },
    });
    const { add, worker, ended, sourceOf } = daemon(open, {
      pipeline: (request) => executePipeline(request, { stages: [stage], openGuest: noGuest }),
    });
    await add('j1');
    worker.start();
    expect(await ended('j1')).toMatchObject({
      state: 'failed',
      failedStage: 'flatten',
      error: { code: 'host.no-space', message: expect.stringContaining('888 PiB') },
    });
    expect(runs).toBe(1);
    expect(await sourceOf('j1')).toEqual(['vm-j1.vmdk']);
  });

  it('a job that waits for others is queued until they are done, without running again and again', async () => {
    const ran: string[] = [];
    const { add, worker, ended, queue } = daemon(open, {
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
    await add('j1');
    // Another one has all the space there is.
    await add('big');
    await queue.runs.start('big');
    queue.set('big', { reservedBytes: 1e18 });
    worker.start();
    await expect.poll(async () => (await queue.jobs.get('j1'))?.waitsForBytes ?? null).not.toBeNull();
    worker.kick();
    await sleep(200);
    expect((await queue.jobs.get('j1'))?.state).toBe('queued');
    expect(ran).toEqual(['flatten']);
    queue.set('big', { state: 'cancelled', reservedBytes: 0 });
    worker.kick();
    expect(await ended('j1')).toMatchObject({ error: { code: 'fetch.corrupt' } });
    expect(ran).toEqual(['flatten', 'flatten', 'convert']);
  });

  it('a job that meets a full disk again and again, though all that it needs is free, ends', async () => {
    let runs = 0;
    const { add, worker, ended } = daemon(open, {
      pipeline: async () => {
        runs += 1;
        return result('host.enospc', { failedStage: 'convert' });
      },
    });
    await add('j1');
    worker.start();
    expect(await ended('j1')).toMatchObject({
      state: 'failed',
      failedStage: 'convert',
      error: { code: 'host.no-space' },
    });
    expect(runs).toBe(6);
  });
});

describe('a drop that somebody writes to', () => {
  it('each time it is converted fails in the end, and keeps no worker for ever', async () => {
    let runs = 0;
    const { add, worker, ended, sourceOf } = daemon(scratchQueue, {
      pipeline: async () => {
        runs += 1;
        return result('source.changed', { failedStage: 'fetch' });
      },
    });
    await add('j1');
    worker.start();
    await expect
      .poll(() => ended('j1'), { timeout: 20_000 })
      .toMatchObject({
        state: 'failed',
        error: { code: 'source.changed' },
      });
    expect(runs).toBe(6);
    expect(await sourceOf('j1')).toEqual(['vm-j1.vmdk']);
  });
});

describe.each(QUEUES)('retry (%s)', (_name, open) => {
  it('of two at the same moment one is refused: a job that runs is not queued a second time', async () => {
    let runs = 0;
    const { add, worker, operations, ended, queue } = daemon(open, {
      pipeline: async () => {
        runs += 1;
        return result('fetch.corrupt');
      },
    });
    await add('j1');
    worker.start();
    await ended('j1');
    const answers = await Promise.allSettled([operations.retry('j1', {}), operations.retry('j1', {})]);
    expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(answers.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { code: 'api.wrong-state' },
    });
    await ended('j1');
    expect(runs).toBe(2);
    expect((await queue.jobs.get('j1'))?.state).toBe('failed');
  });

  it('of a job whose failed directory has gone meanwhile ends, and is not tried for ever', async () => {
    const { add, config, worker, ended, queue } = daemon(open, { pipeline: never });
    await add('j1');
    queue.set('j1', { reopen: join(config.spool.failed, '2026-01-31', 'vm-j1-j1') });
    // As an old database has it: the job is finished long since, and nothing of it is in work/.
    rmSync(join(config.spool.work, 'j1'), { recursive: true });
    worker.start();
    expect(await ended('j1')).toMatchObject({ state: 'failed', error: { code: 'queue.source-gone' } });
  });
});
