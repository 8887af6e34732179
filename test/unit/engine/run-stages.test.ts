import {
  appendFileSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { GuestAccess, GuestRequest } from '../../../src/access/guest-access.js';
import { executePipeline } from '../../../src/engine/run-stages.js';
import type { Stage } from '../../../src/engine/stage.js';
import type { PipelineRequest } from '../../../src/engine/types.js';
import { Hyper2kvmError } from '../../../src/errors/error.js';
import { memoryGuest } from '../access/memory-guest.js';
import { noGuest, testOptions, testRequest, testStage } from './fakes.js';

const execute = (request: PipelineRequest, stages: Stage[]) =>
  executePipeline(request, { stages, openGuest: noGuest });

describe('executePipeline', () => {
  it('runs the stages in order, each with the outputs of those before', async () => {
    const ran: string[] = [];
    let seen: unknown;
    const stages = [
      testStage('fetch', ran),
      testStage('flatten', ran),
      testStage('inspect', ran, {
        act: async (_context, input) => {
          seen = input;
        },
      }),
    ];
    const result = await execute(testRequest(), stages);
    expect(result.error).toBeNull();
    expect(ran).toEqual(['fetch', 'flatten', 'inspect']);
    expect(seen).toEqual({ fetch: { by: 'fetch', run: 1 }, flatten: { by: 'flatten', run: 1 } });
    expect(result.records.map((record) => record.status)).toEqual(['completed', 'completed', 'completed']);
  });

  it('refuses what a later stage cannot do before the first one runs', async () => {
    const ran: string[] = [];
    const check = () => {
      throw new Hyper2kvmError('convert.unsupported-option', 'not in this format');
    };
    const result = await execute(testRequest(), [
      testStage('fetch', ran),
      testStage('fix', ran, { check, enabled: () => false }),
      testStage('convert', ran, { check }),
    ]);
    expect(ran).toEqual([]);
    expect(result).toMatchObject({ failedStage: 'convert', error: { code: 'convert.unsupported-option' } });
  });

  it('stops after `until`', async () => {
    const ran: string[] = [];
    const stages = ['fetch', 'inspect', 'plan', 'fix'].map((name) => testStage(name, ran));
    const result = await execute(testRequest({ until: 'plan' }), stages);
    expect(ran).toEqual(['fetch', 'inspect', 'plan']);
    expect(result).toMatchObject({ error: null, failedStage: null });
  });

  it('runs a stage again whose files are gone, and all after it', async () => {
    const ran: string[] = [];
    const request = testRequest();
    const file = (name: string) => ({
      files: () => [name],
      act: async () => writeFileSync(join(request.workDirectory, name), 'x') as undefined,
    });
    const stages = [
      testStage('fetch', ran),
      testStage('inspect', ran, file('snapshot.json')),
      testStage('plan', ran, file('plan.json')),
    ];
    await execute(request, stages);
    await execute(request, stages);
    expect(ran).toEqual(['fetch', 'inspect', 'plan']);
    rmSync(join(request.workDirectory, 'snapshot.json'));
    expect((await execute(request, stages)).error).toBeNull();
    expect(ran).toEqual(['fetch', 'inspect', 'plan', 'inspect', 'plan']);
  });

  it('resumes after the last checkpoint that holds', async () => {
    const ran: string[] = [];
    let broken = true;
    const stages = [
      testStage('fetch', ran),
      testStage('flatten', ran),
      testStage('convert', ran, {
        act: async () => {
          if (broken) throw new Hyper2kvmError('convert.wrong-size', 'no', { advice: 'x' });
        },
      }),
    ];
    const request = testRequest();
    const first = await execute(request, stages);
    expect(first).toMatchObject({ failedStage: 'convert', error: { code: 'convert.wrong-size' } });
    broken = false;
    const second = await execute(request, stages);
    expect(second.error).toBeNull();
    expect(ran).toEqual(['fetch', 'flatten', 'convert', 'convert']);
    expect(second.records.map((record) => record.status)).toEqual(['reused', 'reused', 'completed']);
    expect(second.outputs.flatten).toEqual({ by: 'flatten', run: 1 });
  });

  it('runs again from the stage whose options, version or output schema changed', async () => {
    const ran: string[] = [];
    const fetch = testStage('fetch', ran);
    const flatten = testStage('flatten', ran, { dependsOn: ({ config }) => config.flatten });
    const convert = testStage('convert', ran);
    const request = testRequest();
    await execute(request, [fetch, flatten, convert]);
    ran.length = 0;

    const copy = { ...request, options: testOptions({ flatten: { mode: 'copy' } }) };
    await execute(copy, [fetch, flatten, convert]);
    expect(ran).toEqual(['flatten', 'convert']);

    ran.length = 0;
    await execute(copy, [fetch, flatten, { ...convert, version: 2 }]);
    expect(ran).toEqual(['convert']);

    ran.length = 0;
    const stricter = { ...fetch, output: z.object({ by: z.literal('someone else') }) };
    const result = await execute(copy, [stricter, flatten, { ...convert, version: 2 }]);
    expect(result.error?.code).toBe('internal.stage-output');
    expect(await request.store.load()).toEqual([]);
  });

  it('starts over when the drop is another one', async () => {
    const ran: string[] = [];
    const request = testRequest();
    await execute(request, [testStage('fetch', ran)]);
    appendFileSync(join(request.source.directory, 'disk.raw'), 'more');
    await execute(request, [testStage('fetch', ran)]);
    expect(ran).toEqual(['fetch', 'fetch']);
  });

  it('gives no checkpoint to a stage while whose run the drop was touched, with its times as they were', async () => {
    const ran: string[] = [];
    const request = testRequest();
    const convert = testStage('convert', ran, {
      act: async (context) => {
        const disk = join(context.source.directory, 'disk.raw');
        const { atime, mtime } = statSync(disk);
        utimesSync(disk, atime, mtime);
        expect(statSync(disk).mtimeMs).toBe(mtime.getTime());
      },
      output: z.unknown(),
    });
    utimesSync(join(request.source.directory, 'disk.raw'), 1, 1);
    const result = await execute(request, [testStage('fetch', ran), convert]);
    expect(result).toMatchObject({ failedStage: 'convert', error: { code: 'source.changed' } });
    expect((await request.store.load()).map((checkpoint) => checkpoint.stage)).toEqual(['fetch']);
    expect(result.records[1]).toMatchObject({ status: 'failed', error: { code: 'source.changed' } });
  });

  it('ends at once, and not as cancelled, when somebody opens the drop for writing', async () => {
    const ran: string[] = [];
    const request = testRequest();
    const convert = testStage('convert', ran, {
      act: async ({ source, signal }) => {
        // Without O_NONBLOCK it would wait for this very stage.
        expect(() =>
          openSync(join(source.directory, 'disk.raw'), constants.O_RDWR | constants.O_NONBLOCK),
        ).toThrow(/EAGAIN|EWOULDBLOCK/);
        await sleep(60_000, undefined, { signal });
      },
    });
    const result = await execute(request, [testStage('fetch', ran), convert]);
    expect(result).toMatchObject({ failedStage: 'convert', error: { code: 'source.open-for-writing' } });
    expect(result).toMatchObject({ cancelled: false, records: [{}, { status: 'failed' }] });
    expect((await request.store.load()).map((checkpoint) => checkpoint.stage)).toEqual(['fetch']);
  });

  it('gives no checkpoint to a stage that did not notice it', async () => {
    const request = testRequest();
    const disk = join(request.source.directory, 'disk.raw');
    const fetch = testStage('fetch', [], {
      act: async () => {
        expect(() => openSync(disk, constants.O_RDWR | constants.O_NONBLOCK)).toThrow();
      },
    });
    expect(await execute(request, [fetch])).toMatchObject({ error: { code: 'source.open-for-writing' } });
    expect(await request.store.load()).toEqual([]);
    // It is given back: the owner may write again.
    closeSync(openSync(disk, constants.O_RDWR | constants.O_NONBLOCK));
  });

  it('skips a disabled stage as a whole, and remembers that', async () => {
    const ran: string[] = [];
    const inspect = testStage('inspect', ran, { enabled: ({ kind }) => kind === 'vm' });
    const request = testRequest({ options: testOptions({}, 'data') });
    const stages = [testStage('fetch', ran), inspect, testStage('convert', ran)];
    const first = await execute(request, stages);
    expect(first.outputs).toMatchObject({ inspect: null });
    const second = await execute(request, stages);
    expect(ran).toEqual(['fetch', 'convert']);
    expect(second.records.map((record) => record.status)).toEqual(['reused', 'skipped', 'reused']);
    await execute({ ...request, options: testOptions() }, stages);
    expect(ran).toEqual(['fetch', 'convert', 'inspect', 'convert']);
  });

  it('tries a passing error again, cleaning up before each try', async () => {
    const ran: string[] = [];
    let cleaned = 0;
    const flaky = testStage('flatten', ran, {
      act: async (context) => {
        context.account({ written: 10 });
        if (ran.length < 3)
          throw new Hyper2kvmError('tool.killed', `attempt ${ran.length}`, { retryable: true, advice: '' });
      },
      cleanup: async () => {
        cleaned += 1;
      },
    });
    const request = testRequest();
    const result = await execute(request, [flaky]);
    expect(result.records[0]).toMatchObject({ status: 'completed', attempts: 3, bytes_written: 30 });
    expect(cleaned).toBe(2);
    expect(request.events.filter((event) => event.type === 'stage-retry')).toHaveLength(2);
  });

  it('does not count failures from before the stage got further', async () => {
    const ran: string[] = [];
    const request = testRequest();
    const flaky = testStage('fetch', ran, {
      act: async (context) => {
        if (ran.length <= 6) {
          context.advanced();
          context.advanced();
        }
        throw new Hyper2kvmError('remote.interrupted', 'cut', { retryable: true });
      },
    });
    const result = await execute(request, [flaky]);
    expect(result.error).toMatchObject({ code: 'remote.interrupted' });
    // Six that got further, of which the last counts, and three more make the four attempts.
    expect(ran).toHaveLength(9);
    expect(request.events.filter(({ type }) => type === 'stage-advanced')).toHaveLength(6);
  });

  it('keeps the first failure when a cleanup fails too', async () => {
    const stage = testStage('flatten', [], {
      act: () => Promise.reject(new Hyper2kvmError('flatten.unreadable', 'no')),
      cleanup: () => Promise.reject(new Error('cleanup')),
    });
    expect((await execute(testRequest(), [stage])).error?.code).toBe('flatten.unreadable');
  });

  it('ends as cancelled in a stage, while waiting for a lane and while waiting to try again', async () => {
    const reason = new Hyper2kvmError('daemon.stopping', 'bye');
    const inStage = new AbortController();
    const running = await execute(testRequest({ signal: inStage.signal }), [
      testStage('convert', [], {
        act: async (context) => {
          setTimeout(() => inStage.abort(reason), 5);
          await sleep(10_000, undefined, { signal: context.signal });
        },
      }),
    ]);
    expect(running).toMatchObject({
      cancelled: true,
      failedStage: 'convert',
      error: { code: 'daemon.stopping' },
    });
    expect(running.records[0]?.status).toBe('cancelled');

    const inLane = new AbortController();
    const request = testRequest({ signal: inLane.signal });
    const release = await request.lanes.acquire('boots', { priority: 0, signal: AbortSignal.timeout(1000) });
    setTimeout(() => inLane.abort(reason), 5);
    const ran: string[] = [];
    const waiting = await execute(request, [testStage('validate', ran, { lane: 'boots' })]);
    expect(waiting).toMatchObject({ cancelled: true, error: { code: 'daemon.stopping' } });
    expect(ran).toEqual([]);
    release();

    const inBackoff = new AbortController();
    const slow = testRequest({
      signal: inBackoff.signal,
      options: testOptions({ retry: { attempts: 4, backoff_seconds: 600 } }),
      onEvent: (event) => {
        if (event.type === 'stage-retry') inBackoff.abort(reason);
      },
    });
    const retrying = await execute(slow, [
      testStage('fetch', [], {
        act: () => Promise.reject(new Hyper2kvmError('tool.killed', 'x', { retryable: true })),
      }),
    ]);
    expect(retrying).toMatchObject({ cancelled: true });
  });

  it('counts a stage that fails by itself while it is cancelled as cancelled, with the failure among the causes', async () => {
    const abort = new AbortController();
    const stage = testStage('fetch', [], {
      act: async () => {
        abort.abort(new Hyper2kvmError('job.cancelled', 'cancelled', { advice: 'x' }));
        throw new Hyper2kvmError('fetch.corrupt', 'no disk', { advice: 'x' });
      },
    });
    const result = await execute(testRequest({ signal: abort.signal }), [stage]);
    expect(result).toMatchObject({ cancelled: true, error: { code: 'job.cancelled' } });
    expect(result.error?.causes).toEqual(['fetch.corrupt: no disk']);
  });

  it('concludes nothing about the VM from a passing error around the stages', async () => {
    const request = testRequest();
    const locked = Object.assign(new Error('database is locked'), { code: 'SQLITE_BUSY' });
    const store = {
      load: async () => [],
      truncate: async () => {},
      save: () => Promise.reject(locked),
    };
    await expect(execute({ ...request, store }, [testStage('fetch', [])])).rejects.toBe(locked);
  });

  it('gives a full database as the job’s failure, which waits for space', async () => {
    const full = Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' });
    const store = {
      load: async () => [],
      truncate: async () => {},
      save: () => Promise.reject(full),
    };
    const result = await execute(testRequest({ store }), [testStage('fetch', [])]);
    expect(result.error?.code).toBe('host.enospc');
  });

  it('gives a lane back after success and after failure', async () => {
    const request = testRequest();
    const fails = testStage('convert', [], {
      lane: 'conversions',
      act: () => Promise.reject(new Error('x')),
    });
    await execute(request, [testStage('boot', [], { lane: 'boots' }), fails]);
    const soon = { priority: 0, signal: AbortSignal.timeout(1000) };
    await request.lanes.acquire('conversions', soon);
    await request.lanes.acquire('boots', soon);
  });

  it('refuses a stage result that is not of its schema', async () => {
    const stage = testStage('fetch', [], { act: async () => ({ wrong: true }) });
    expect((await execute(testRequest(), [stage])).error?.code).toBe('internal.stage-output');
  });
});

describe('the access to a job’s guest', () => {
  function fakeGuests() {
    const log: string[] = [];
    const { reader } = memoryGuest({});
    const requests: GuestRequest[] = [];
    const openGuest = async (request: GuestRequest) => {
      requests.push(request);
      log.push('open');
      return {
        reader,
        port: { module: '', settings: null, answer: async () => undefined },
        writer: () => {
          throw new Error('nothing is written in this test');
        },
        capabilities: { offline: true, layers: null, trim: null },
        traffic: async () => ({ read: 0, written: 0 }),
        close: async () => void log.push('close'),
        kill: async () => void log.push('kill'),
      } satisfies GuestAccess;
    };
    return { log, requests, openGuest };
  }
  const uses = async (context: { guest(disks: string[]): Promise<unknown> }) => {
    await context.guest(['flat-disk0.qcow2']);
  };

  it('is opened once for INSPECT and FIX, holding its lane in between, and closed after', async () => {
    const { log, openGuest } = fakeGuests();
    const request = testRequest();
    const probe = new AbortController();
    let freeDuringPlan: boolean | undefined;
    const stages = [
      testStage('inspect', log, { lane: 'appliances', act: uses }),
      testStage('plan', log, {
        act: async () => {
          const turn = request.lanes.acquire('appliances', { priority: 9, signal: probe.signal });
          freeDuringPlan = await Promise.race([turn.then(() => true), sleep(20, false)]);
          turn.catch(() => undefined);
          probe.abort();
        },
      }),
      testStage('fix', log, { lane: 'appliances', act: uses }),
      testStage('convert', log),
    ];
    const result = await executePipeline(request, { stages, openGuest });
    expect(result.error).toBeNull();
    expect(freeDuringPlan).toBe(false);
    expect(log).toEqual(['inspect', 'open', 'plan', 'fix', 'close', 'convert']);
    await request.lanes.acquire('appliances', { priority: 0, signal: AbortSignal.timeout(1000) });
  });

  // Only root has files of others.
  it.runIf(process.geteuid?.() === 0)(
    'may read a copy of the drop and the drop, and write to neither',
    async () => {
      const { log, requests, openGuest } = fakeGuests();
      const { workDirectory } = testRequest();
      const directory = join(workDirectory, 'source');
      mkdirSync(directory);
      writeFileSync(join(directory, 'disk.raw'), 'data');
      chownSync(directory, 64_101, 0);
      const request = testRequest({ workDirectory, source: { directory, entries: ['disk.raw'] } });
      const stages = [testStage('inspect', log, { lane: 'appliances', act: uses })];
      await executePipeline(request, { stages, openGuest });
      const [copy = '', ...others] = requests[0]?.drop ?? [];
      expect(others).toEqual([join(directory, 'disk.raw')]);
      expect(copy.startsWith(join(workDirectory, 'private-source-'))).toBe(true);
    },
  );

  it('is killed with a failed attempt and opened again for the next', async () => {
    const { log, openGuest } = fakeGuests();
    const request = testRequest();
    const fix = testStage('fix', log, {
      lane: 'appliances',
      act: async (context) => {
        await uses(context);
        if (log.filter((line) => line === 'fix').length === 1)
          throw new Hyper2kvmError('guest.died', 'lost', { retryable: true });
        await context.closeGuest();
      },
    });
    const result = await executePipeline(request, { stages: [fix], openGuest });
    expect(result.error).toBeNull();
    expect(log).toEqual(['fix', 'open', 'kill', 'fix', 'open', 'close']);
  });

  it('is killed when a stage between fails', async () => {
    const { log, openGuest } = fakeGuests();
    const request = testRequest();
    const stages = [
      testStage('inspect', log, { lane: 'appliances', act: uses }),
      testStage('plan', log, { act: () => Promise.reject(new Error('x')) }),
      testStage('fix', log, { lane: 'appliances' }),
    ];
    await executePipeline(request, { stages, openGuest });
    expect(log).toEqual(['inspect', 'open', 'plan', 'kill']);
    await request.lanes.acquire('appliances', { priority: 0, signal: AbortSignal.timeout(1000) });
  });
});

describe('accept', () => {
  const refusing = (ran: string[], extra: Partial<Stage> = {}) => [
    testStage('convert', ran),
    testStage('validate', ran, {
      accept: (_output, { config }) =>
        config.validate.required ? new Hyper2kvmError('validate.kernel-panic', 'it did not boot') : null,
      ...extra,
    }),
    testStage('publish', ran),
  ];
  const lenient = testOptions({ validate: { required: false } });

  it('ends the run with its error, keeps output and checkpoint, and runs nothing behind it', async () => {
    const ran: string[] = [];
    const request = testRequest();
    const result = await execute(request, refusing(ran));
    expect(result).toMatchObject({
      error: { code: 'validate.kernel-panic' },
      failedStage: 'validate',
      outputs: { validate: { by: 'validate' } },
      cancelled: false,
    });
    expect(result.records.map(({ status }) => status)).toEqual(['completed', 'failed', 'pending']);
    expect(ran).toEqual(['convert', 'validate']);
    expect((await request.store.load()).map(({ stage }) => stage)).toEqual(['convert', 'validate']);
    const ended = request.events.flatMap((event) => (event.type === 'stage-finished' ? event.record : []));
    expect(ended.map(({ stage, status }) => [stage, status])).toEqual([
      ['convert', 'completed'],
      ['validate', 'failed'],
    ]);
  });

  it('is asked again for a checkpoint that was saved before a crash: the stage is not run again', async () => {
    const ran: string[] = [];
    const request = testRequest();
    const stages = refusing(ran);
    await execute(request, stages);
    expect((await execute(request, stages)).error).toMatchObject({ code: 'validate.kernel-panic' });
    expect(ran).toEqual(['convert', 'validate']);
  });

  it('accepts the same output under other options without another run', async () => {
    const ran: string[] = [];
    const request = testRequest();
    const stages = refusing(ran);
    await execute(request, stages);
    await refuse(request);
    const result = await execute({ ...request, options: lenient }, stages);
    expect(result).toMatchObject({ error: null, outputs: { validate: { run: 1 } } });
    expect(result.records[1]).toMatchObject({ status: 'reused', error: null });
    expect(ran).toEqual(['convert', 'validate', 'publish']);
  });

  it('runs the stage again where the job failed by its output and is tried again', async () => {
    const ran: string[] = [];
    const request = testRequest();
    const stages = refusing(ran);
    await execute(request, stages);
    await refuse(request);
    expect((await execute(request, stages)).error).toMatchObject({ code: 'validate.kernel-panic' });
    expect(ran).toEqual(['convert', 'validate', 'validate']);
  });

  it('gives what is not accepted to no hook, and to the hook when it is accepted later', async () => {
    const ran: string[] = [];
    const directory = testRequest().workDirectory;
    const hook = {
      pipeline: {
        hooks: [{ stage: 'validate', when: 'after', command: ['/bin/sh', '-c', 'echo ran >> hook.log'] }],
      },
    };
    const request = testRequest({ options: testOptions(hook), workDirectory: directory });
    const stages = refusing(ran);
    const told = () => (existsSync(join(directory, 'hook.log')) ? 1 : 0);
    await execute(request, stages);
    expect(told()).toBe(0);
    await refuse(request);
    const options = testOptions({ ...hook, validate: { required: false } });
    expect((await execute({ ...request, options }, stages)).error).toBeNull();
    expect(told()).toBe(1);
  });

  /** As the daemon does when it decides that the job has failed. */
  async function refuse({ store }: PipelineRequest): Promise<void> {
    const checkpoint = (await store.load()).find(({ stage }) => stage === 'validate')!;
    await store.truncate('validate');
    await store.save({ ...checkpoint, record: { ...checkpoint.record, status: 'failed' } });
  }
});
