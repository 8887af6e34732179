import { describe, expect, it } from 'vitest';
import { pendingRecord } from '../../../src/engine/run-stage.js';
import { errorRecord, Hyper2kvmError } from '../../../src/errors/error.js';
import type { Job } from '../../../src/model/job.js';
import type { StageRecord } from '../../../src/model/stage-record.js';
import type { NewNotification } from '../../../src/queue/outbox.js';
import type { Decision, Lease, QueueStore } from '../../../src/queue/store.js';
import { MemoryData, memoryQueue } from './memory-store.js';
import { enqueue, QUEUES, scratchDirectory, scratchQueue, testClaim } from './scratch.js';

const record = (stage: string, extra: Partial<StageRecord> = {}): StageRecord => ({
  ...pendingRecord(stage),
  status: 'completed',
  ...extra,
});
const checkpoint = (stage: string, output: unknown = { stage }) => ({
  ...{ stage, output, id: `id-${stage}`, timestamp: 't' },
  record: record(stage),
});
const error = (code: string, cause?: Error) =>
  errorRecord(Hyper2kvmError.of(code, 'as the test wants it', cause === undefined ? {} : { cause }));
const decision = (outcome: Decision['outcome'], extra: Partial<Decision> = {}): Decision => ({
  ...{ outcome, directory: `/${outcome}`, finishedAt: '2026-01-31T00:00:00.000Z', failedStage: null },
  error: outcome === 'converted' ? null : error(outcome === 'failed' ? 'fetch.corrupt' : 'job.cancelled'),
  ...extra,
});
const notification = (key: string, target = 'chat'): NewNotification => ({
  ...{ key, target, event: 'paused', body: '{}' },
});
const lost = { code: 'queue.lease-lost' };

async function started(queue: QueueStore, job: string): Promise<Lease> {
  const run = await queue.runs.start(job);
  if (run === null) throw new Error(`${job} does not start`);
  return run.lease;
}

async function ids(jobs: AsyncIterable<Job> | Promise<Job[]>): Promise<string[]> {
  const found: string[] = [];
  for await (const { job } of Symbol.asyncIterator in jobs ? jobs : await jobs) found.push(job);
  return found;
}

describe.each(QUEUES)('jobs in %s', (_name, open) => {
  it('come in order of priority, then of arrival', async () => {
    const queue = open();
    for (const id of ['a', 'b', 'c', 'd']) await enqueue(queue, id);
    await queue.jobs.setPriority('c', 5);
    await started(queue, 'a');
    expect(await ids(queue.jobs.queued())).toEqual(['c', 'b', 'd']);
    expect(await queue.jobs.setPriority('nobody', 5)).toBeNull();
  });

  it('are found by id, by the beginning of one, and by name', async () => {
    const queue = open();
    await enqueue(queue, 'aaa1', { vm: 'web01' });
    await enqueue(queue, 'aaa2', { vm: 'web01' });
    await enqueue(queue, 'bbb1', { vm: 'db_%' });
    const found = (text: string) => ids(queue.jobs.find(text));
    expect(await found('aaa1')).toEqual(['aaa1']);
    expect(await found('b')).toEqual(['bbb1']);
    expect(await found('web01')).toEqual(['aaa2']);
    expect(await found('aaa')).toEqual(['aaa1', 'aaa2']);
    expect(await found('%')).toEqual([]);
    expect(await queue.jobs.get('aaa')).toBeNull();
  });

  it('are filtered by state, name and time, and counted', async () => {
    const queue = open();
    await enqueue(queue, 'a', { vm: 'web01' });
    await enqueue(queue, 'b', { vm: 'db01' });
    queue.set('b', { state: 'converted' });
    expect(await ids(queue.jobs.list({ states: ['queued'] }))).toEqual(['a']);
    expect(await ids(queue.jobs.list({ name: 'db' }))).toEqual(['b']);
    expect(await ids(queue.jobs.list({ since: '2999-01-01' }))).toEqual([]);
    expect(await ids(queue.jobs.list())).toEqual(['a', 'b']);
    expect(await queue.jobs.counts()).toEqual({
      ...{ queued: 1, parked: 0, running: 0, converted: 1, failed: 0, cancelled: 0 },
    });
    expect(await queue.jobs.reservedBytes()).toBe(100);
  });
});

describe.each(QUEUES)('a start in %s', (_name, open) => {
  it('happens once, whoever asks', async () => {
    const queue = open();
    await enqueue(queue, 'a');
    const both = await Promise.all([queue.runs.start('a'), queue.runs.start('a')]);
    expect(both.filter((run) => run !== null)).toHaveLength(1);
    expect(await queue.jobs.get('a')).toMatchObject({
      ...{ state: 'running', owner: queue.owner, token: 1, startedAt: expect.any(String) },
    });
    expect(await queue.runs.start('nobody')).toBeNull();
  });

  it('does not happen while the queue is paused, except to publish what is decided', async () => {
    const queue = open();
    for (const id of ['a', 'b']) await enqueue(queue, id);
    const seen = (await queue.jobs.get('b'))!;
    await queue.jobs.cancel(seen, decision('cancelled'));
    expect(await queue.pause.set(true, () => [notification('k')])).toBe(true);
    expect(await queue.pause.set(true, () => [notification('twice')])).toBe(false);
    expect(await queue.runs.start('a')).toBeNull();
    expect((await queue.runs.start('b'))?.job).toMatchObject({ outcome: 'cancelled', startedAt: null });
    expect(await queue.pause.set(false, () => [])).toBe(true);
    expect(await queue.runs.start('a')).not.toBeNull();
    expect(await queue.outbox.counts()).toEqual([{ target: 'chat', outcome: 'pending', count: 1 }]);
  });
});

describe.each(QUEUES)('a lease of %s', (_name, open) => {
  const writes: Record<string, (queue: QueueStore, lease: Lease) => Promise<unknown>> = {
    enterStage: ({ runs }, lease) => runs.enterStage(lease, 'fetch'),
    advanced: ({ runs }, lease) => runs.advanced(lease),
    recordStage: ({ runs }, lease) => runs.recordStage(lease, record('fetch')),
    endStages: ({ runs }, lease) => runs.endStages(lease, [record('fetch')]),
    reserve: ({ runs }, lease) => runs.reserve(lease, 5),
    reopened: ({ runs }, lease) => runs.reopened(lease),
    leftInFailed: ({ runs }, lease) => runs.leftInFailed(lease),
    decide: ({ runs }, lease) => runs.decide(lease, decision('failed')),
    requeue: ({ runs }, lease) => runs.requeue(lease),
    finish: ({ runs }, lease) => runs.finish(lease, 'none', () => [notification('k')]),
    'a checkpoint': ({ checkpoints }, lease) => checkpoints.save(lease, checkpoint('flatten')),
    truncate: ({ checkpoints }, lease) => checkpoints.truncate(lease, 'fetch'),
  };

  it.each(Object.keys(writes))('ends with its run: %s of an earlier one is refused', async (name) => {
    const queue = open();
    await enqueue(queue, 'a');
    const stale = await started(queue, 'a');
    await queue.checkpoints.save(stale, checkpoint('fetch'));
    await queue.runs.requeue(stale);
    await expect(writes[name]!(queue, stale)).rejects.toMatchObject(lost);
    const lease = await started(queue, 'a');
    expect(lease.token).toBeGreaterThan(stale.token);
    await queue.runs.decide(lease, decision('converted'));
    const state = async () => ({
      ...{ job: await queue.jobs.get('a'), kept: await queue.checkpoints.load('a') },
      ...{ outbox: await queue.outbox.counts(), totals: await queue.statistics.stageTotals() },
    });
    const before = await state();
    await expect(writes[name]!(queue, stale)).rejects.toMatchObject(lost);
    expect(await state()).toEqual(before);
    // The same of the run that holds it.
    await writes[name]!(queue, lease);
  });

  it('is kept by whoever holds it, and told to be lost when it is', async () => {
    const queue = open();
    for (const id of ['a', 'b']) await enqueue(queue, id);
    const leases = [await started(queue, 'a'), await started(queue, 'b')];
    expect(await queue.runs.renew(leases)).toEqual([]);
    await queue.runs.requeue(leases[0]!);
    expect(await queue.runs.renew(leases)).toEqual([leases[0]]);
    expect(await queue.runs.renew([{ job: 'nobody', owner: queue.owner, token: 1 }])).toHaveLength(1);
  });
});

const PAIRS: [string, () => [QueueStore, QueueStore]][] = [
  [
    'SQLite',
    () => {
      const directory = scratchDirectory();
      const first = scratchQueue(directory);
      first.database.prepare("UPDATE settings SET value = 'another host' WHERE key = 'owner'").run();
      return [first, scratchQueue(directory)];
    },
  ],
  [
    'a queue that answers later',
    () => {
      const data = new MemoryData();
      return [memoryQueue(data, 'first'), memoryQueue(data, 'second')];
    },
  ],
];

describe.each(PAIRS)('two owners of %s', (_name, open) => {
  it('take back only what they have left running themselves', async () => {
    const [first, second] = open();
    expect(first.owner).not.toBe(second.owner);
    for (const id of ['a', 'b', 'c']) await enqueue(first, id);
    await started(first, 'a');
    const others = await started(second, 'b');
    expect(await ids(first.runs.requeueInterrupted())).toEqual(['a']);
    expect(await first.jobs.get('a')).toMatchObject({ state: 'queued', crashes: 1, owner: null });
    expect(await second.jobs.get('b')).toMatchObject({ state: 'running', crashes: 0, owner: second.owner });
    await second.runs.enterStage(others, 'fetch');
    // Nor may one write what the other runs, whatever token it guesses.
    const forged = { ...others, owner: first.owner };
    await expect(first.runs.enterStage(forged, 'fetch')).rejects.toMatchObject(lost);
  });
});

describe.each(QUEUES)('the end of a job in %s', (_name, open) => {
  it('is what was decided first; a later decision only adds what it knows', async () => {
    const queue = open();
    await enqueue(queue, 'a');
    const lease = await started(queue, 'a');
    await queue.runs.endStages(lease, []);
    const seen = (await queue.jobs.get('a'))!;
    expect(await queue.jobs.cancel(seen, decision('cancelled'))).toMatchObject({ state: 'running' });
    const result = { plan: { fstab: 1 }, boot: null, sourceId: null };
    const causes = error('job.cancelled', new Error('and the disk was bad'));
    const late = decision('converted', { error: causes, failedStage: 'convert', result });
    expect(await queue.runs.decide(lease, late)).toMatchObject({
      ...{ outcome: 'cancelled', directory: '/cancelled', error: causes, failedStage: 'convert', result },
    });
    const again = decision('failed', { error: error('fetch.corrupt'), failedStage: 'fetch' });
    expect(await queue.runs.decide(lease, again)).toMatchObject({ error: causes, failedStage: 'convert' });
  });

  it('is another one where the result could not be published', async () => {
    const queue = open();
    await enqueue(queue, 'a');
    const lease = await started(queue, 'a');
    await queue.runs.decide(lease, decision('converted'));
    const instead = await queue.runs.decide(lease, decision('failed', { instead: 'converted' }));
    expect(instead).toMatchObject({ outcome: 'failed', directory: '/failed' });
    expect(instead).not.toHaveProperty('instead');
  });

  it('is committed with its notifications, or not at all', async () => {
    const queue = open();
    await enqueue(queue, 'a');
    const lease = await started(queue, 'a');
    await queue.checkpoints.save(lease, checkpoint('fetch'));
    await queue.runs.decide(lease, decision('failed'));
    const before = await queue.jobs.get('a');
    const refused = queue.runs.finish(lease, 'none', () => {
      throw new Error('not to be told');
    });
    await expect(refused).rejects.toThrow('not to be told');
    expect(await queue.jobs.get('a')).toEqual(before);
    expect(await queue.checkpoints.load('a')).toHaveLength(1);
    const final = await queue.runs.finish(lease, 'none', ({ state }) => [notification(`a is ${state}`)]);
    expect(final).toMatchObject({
      ...{ state: 'failed', owner: null, stage: null, reservedBytes: 0, waitsForBytes: null, reopen: null },
    });
    expect(await queue.jobs.get('a')).toEqual(final);
    expect(await queue.outbox.due('chat', Date.now())).toMatchObject({ key: 'a is failed' });
    await expect(queue.runs.finish(lease, 'none', () => [])).rejects.toMatchObject(lost);
  });

  it('keeps of the checkpoints what is still of use', async () => {
    const queue = open();
    for (const keep of ['all', 'records', 'none'] as const) {
      await enqueue(queue, keep);
      const lease = await started(queue, keep);
      await queue.checkpoints.save(lease, checkpoint('fetch', { large: true }));
      await queue.runs.decide(lease, decision('failed'));
      await queue.runs.finish(lease, keep, () => []);
    }
    const outputs = async (job: string) => (await queue.checkpoints.load(job)).map(({ output }) => output);
    expect(await outputs('all')).toEqual([{ large: true }]);
    expect(await outputs('records')).toEqual([null]);
    expect(await outputs('none')).toEqual([]);
  });

  it('marks the checkpoint of the stage whose output was refused', async () => {
    const queue = open();
    await enqueue(queue, 'a');
    const lease = await started(queue, 'a');
    await queue.checkpoints.save(lease, checkpoint('validate'));
    const refused = record('validate', { status: 'failed', error: error('validate.kernel-panic') });
    await queue.runs.endStages(lease, [refused]);
    await queue.runs.decide(lease, decision('failed', { failedStage: 'validate' }));
    expect((await queue.checkpoints.load('a'))[0]).toEqual({ ...checkpoint('validate'), record: refused });
  });
});

describe.each(QUEUES)('cancel in %s', (_name, open) => {
  it('of a job that has moved on changes nothing, and is to be asked again', async () => {
    const queue = open();
    await enqueue(queue, 'a');
    const seen = (await queue.jobs.get('a'))!;
    const lease = await started(queue, 'a');
    expect(await queue.jobs.cancel(seen, decision('cancelled'))).toBeNull();
    expect(await queue.jobs.get('a')).toMatchObject({ outcome: null });
    // Put back, it looks the same as before its start: it is not.
    await queue.runs.requeue(lease);
    expect(await queue.jobs.cancel(seen, decision('cancelled'))).toBeNull();
    const now = (await queue.jobs.get('a'))!;
    expect(await queue.jobs.cancel(now, decision('cancelled'))).toMatchObject({ outcome: 'cancelled' });
  });

  it('of a result that waits to be published takes its place', async () => {
    const queue = open();
    await enqueue(queue, 'a');
    const lease = await started(queue, 'a');
    await queue.runs.decide(lease, decision('converted'));
    await queue.runs.requeue(lease, { waitsForBytes: 7 });
    const seen = (await queue.jobs.get('a'))!;
    expect(seen).toMatchObject({ state: 'queued', outcome: 'converted', waitsForBytes: 7 });
    const cancelled = await queue.jobs.cancel(seen, decision('cancelled', { instead: 'converted' }));
    expect(cancelled).toMatchObject({ outcome: 'cancelled', directory: '/cancelled' });
  });

  it('of a job that is done changes nothing', async () => {
    const queue = open();
    await enqueue(queue, 'a');
    queue.set('a', { state: 'failed', outcome: 'failed' });
    const seen = (await queue.jobs.get('a'))!;
    expect(await queue.jobs.cancel(seen, decision('cancelled'))).toBeNull();
  });
});

describe.each(QUEUES)('retry in %s', (_name, open) => {
  async function failed(code = 'fetch.corrupt') {
    const queue = open();
    await enqueue(queue, 'a', { refused: error(code) });
    const lease = await started(queue, 'a');
    for (const stage of ['fetch', 'flatten', 'inspect'])
      await queue.checkpoints.save(lease, checkpoint(stage));
    await queue.runs.decide(lease, decision('failed', { failedStage: 'inspect' }));
    return { queue, job: await queue.runs.finish(lease, 'all', () => []) };
  }
  const stages = async (queue: QueueStore) => (await queue.checkpoints.load('a')).map(({ stage }) => stage);

  it('forgets checkpoints and queues the job in one step; of two the second is refused', async () => {
    const { queue, job } = await failed();
    const request = { overrides: { 'fix.mode': 'none' }, reservedBytes: 9, from: 'flatten' };
    const answers = await Promise.all([queue.jobs.retry(job, request), queue.jobs.retry(job, request)]);
    expect(answers.filter((answer) => answer !== null)).toEqual([
      expect.objectContaining({
        ...{ state: 'queued', outcome: null, error: null, failedStage: null, finishedAt: null },
        ...{ reopen: '/failed', overrides: request.overrides, reservedBytes: 9, waitsForBytes: 9 },
      }),
    ]);
    expect(await stages(queue)).toEqual(['fetch']);
  });

  it('of a job that has moved on forgets nothing', async () => {
    const { queue, job } = await failed();
    await queue.jobs.retry(job, { overrides: {}, reservedBytes: 9 });
    const again = { overrides: {}, reservedBytes: 9, from: 'fetch' };
    expect(await queue.jobs.retry(job, again)).toBeNull();
    expect(await stages(queue)).toEqual(['fetch', 'flatten', 'inspect']);
  });

  it.each([
    ['job-options.unreadable', false],
    ['fetch.refused-special', true],
  ])('reads again what %s refused: %s stays', async (code, stays) => {
    const { queue, job } = await failed(code);
    const retried = await queue.jobs.retry(job, { overrides: {}, reservedBytes: 9 });
    expect(retried?.refused !== null).toBe(stays);
  });
});

describe.each(QUEUES)('a run in %s', (_name, open) => {
  it('promises bytes and hears what is promised to the others that run', async () => {
    const queue = open();
    for (const id of ['a', 'b', 'c']) await enqueue(queue, id);
    const lease = await started(queue, 'a');
    expect(await queue.runs.reserve(lease, 7)).toBe(0);
    await started(queue, 'b');
    expect(await queue.runs.reserve(lease, 5, { atLeast: true })).toBe(100);
    expect(await queue.jobs.get('a')).toMatchObject({ reservedBytes: 7 });
    expect(await queue.jobs.reservedBytes({ running: true })).toBe(107);
    expect(await queue.jobs.reservedBytes({ except: 'a' })).toBe(200);
  });

  it('records each stage once, counts what really ran, and forgets crashes with a stage that completed', async () => {
    const queue = open();
    await enqueue(queue, 'a');
    queue.set('a', { crashes: 2 });
    const lease = await started(queue, 'a');
    const ran = { seconds: 1.5, bytes_read: 7 };
    await queue.runs.recordStage(lease, record('fetch', { ...ran, status: 'failed' }));
    expect(await queue.jobs.get('a')).toMatchObject({ crashes: 2 });
    await queue.runs.recordStage(lease, record('fetch', ran));
    await queue.runs.recordStage(lease, record('fetch', ran));
    const job = await queue.runs.recordStage(lease, record('plan', { status: 'reused' }));
    expect(job).toMatchObject({ crashes: 0, records: [{ stage: 'fetch' }, { stage: 'plan' }] });
    const total = { stage: 'fetch', status: 'completed', runs: 2, seconds: 3, bytes_read: 14 };
    expect(await queue.statistics.stageTotals()).toMatchObject([total, { status: 'failed', runs: 1 }]);
  });

  it('takes a failed directory back, or leaves the drop there', async () => {
    const queue = open();
    for (const id of ['a', 'b', 'c']) {
      await enqueue(queue, id);
      queue.set(id, { reopen: '/failed/x', directory: '/failed/x' });
    }
    expect(await queue.runs.reopened(await started(queue, 'a'))).toMatchObject({
      ...{ reopen: null, directory: null },
    });
    expect(await queue.runs.leftInFailed(await started(queue, 'b'))).toMatchObject({
      ...{ reopen: null, directory: '/failed/x' },
    });
    // Cancelled meanwhile.
    const lease = await started(queue, 'c');
    await queue.runs.decide(lease, decision('cancelled'));
    expect(await queue.runs.reopened(lease)).toMatchObject({ reopen: null, directory: '/cancelled' });
  });
});

describe.each(QUEUES)('claims in %s', (_name, open) => {
  it('are pending until they become jobs', async () => {
    const queue = open();
    await queue.claims.record(testClaim('a'));
    await queue.claims.record(testClaim('b'));
    await queue.claims.setPhase('b', 'copied');
    expect((await queue.claims.pending()).map(({ job, phase }) => [job, phase])).toEqual([
      ['a', 'moving'],
      ['b', 'copied'],
    ]);
    await queue.claims.commit(testClaim('a'), ['x', 'b']);
    await queue.claims.forget('b');
    expect(await queue.claims.pending()).toEqual([]);
    expect(await queue.jobs.list()).toMatchObject([{ job: 'a', entries: ['b', 'x'], state: 'queued' }]);
  });

  it('do not become two jobs', async () => {
    const queue = open();
    await enqueue(queue, 'a');
    await expect(queue.claims.commit(testClaim('a'), [])).rejects.toThrow();
  });
});

describe.each(QUEUES)('checkpoints in %s', (_name, open) => {
  it('come back in order and are forgotten from a stage on', async () => {
    const queue = open();
    for (const id of ['a', 'b']) await enqueue(queue, id);
    const [lease, other] = [await started(queue, 'a'), await started(queue, 'b')];
    for (const stage of ['fetch', 'flatten', 'inspect'])
      await queue.checkpoints.save(lease, checkpoint(stage));
    await queue.checkpoints.save(other, checkpoint('fetch', null));
    expect((await queue.checkpoints.load('a'))[1]).toEqual(checkpoint('flatten'));
    await queue.checkpoints.truncate(lease, 'flatten');
    await queue.checkpoints.truncate(lease, 'never saved');
    await queue.checkpoints.save(lease, checkpoint('flatten', null));
    const outputs = (await queue.checkpoints.load('a')).map(({ output }) => output);
    expect(outputs).toEqual([{ stage: 'fetch' }, null]);
    expect(await queue.checkpoints.load('b')).toHaveLength(1);
  });
});

describe.each(QUEUES)('the outbox of %s', (_name, open) => {
  it('gives each receiver what failed least first, and waits as it is told', async () => {
    const { outbox } = open();
    await outbox.add([notification('1'), notification('2'), notification('3', 'ticket')], 1000);
    const due = (now = 2000) => outbox.due('chat', now);
    const first = (await due())!;
    expect(first).toMatchObject({ key: '1', attempts: 0 });
    await outbox.postpone(first.id, 1, 5000);
    expect(await due()).toMatchObject({ key: '2' });
    expect(await outbox.nextAt(2000)).toBe(5000);
    await outbox.settle((await due())!, 'delivered');
    expect(await due()).toBeNull();
    expect(await due(5000)).toMatchObject({ key: '1', attempts: 1 });
    await outbox.settle((await due(5000))!, 'given_up');
    expect(await outbox.targets()).toEqual(['ticket']);
    expect(await outbox.nextAt(2000)).toBeNull();
    expect(await outbox.counts()).toEqual([
      { target: 'chat', outcome: 'delivered', count: 1 },
      { target: 'chat', outcome: 'given_up', count: 1 },
      { target: 'ticket', outcome: 'pending', count: 1 },
    ]);
  });

  it('does not wait for a clock that was set back', async () => {
    const { outbox } = open();
    await outbox.add([notification('k')], 1_000_000_000);
    expect(await outbox.due('chat', 1_000_000_000 - 300_000)).toBeNull();
    expect(await outbox.due('chat', 1_000_000_000 - 3_600_000)).toMatchObject({ key: 'k' });
  });
});

describe.each(QUEUES)('statistics of %s', (_name, open) => {
  it('know the longest wait and the boots', async () => {
    const queue = open();
    expect(await queue.statistics.oldestQueued()).toBeNull();
    const job = await enqueue(queue, 'a');
    await enqueue(queue, 'b');
    expect(await queue.statistics.oldestQueued()).toBe(job.updatedAt);
    const boot = { verdict: 'failed', level: 'kernel', seconds: 1, accelerator: 'tcg', warnings: [] };
    queue.set('a', { result: { plan: null, boot, sourceId: null } });
    expect(await queue.statistics.boots()).toEqual([{ verdict: 'failed', count: 1 }]);
  });
});

describe.each(QUEUES)('a warm job in %s', (_name, open) => {
  const result = { plan: { virtio: 2 }, boot: null, sourceId: 'base' };
  const parkedJob = async (queue: ReturnType<typeof open>, id: string) => {
    await enqueue(queue, id, { isWarm: true, reservedBytes: 100 });
    return queue.runs.park(await started(queue, id), { result, writtenBytes: 70 });
  };

  it('is parked with the plan of its base, and not started before its cutover', async () => {
    const queue = open();
    expect(await enqueue(queue, 'b')).toMatchObject({ warm: null });
    const parked = await parkedJob(queue, 'a');
    expect(parked).toMatchObject({ state: 'queued', warm: 'parked', owner: null, reservedBytes: 30, result });
    expect(await ids(queue.jobs.queued())).toEqual(['b']);
    expect(await queue.runs.start('a')).toBeNull();
    expect(await queue.jobs.counts()).toMatchObject({ parked: 1, queued: 1 });
    expect(await ids(queue.jobs.list({ warm: ['parked'] }))).toEqual(['a']);
    const { updatedAt } = (await queue.jobs.get('b'))!;
    expect(await queue.statistics.oldestQueued()).toBe(updatedAt);

    expect(await queue.jobs.cutOver('b')).toBeNull();
    expect(await queue.jobs.cutOver('a')).toMatchObject({ state: 'queued', warm: 'cutover' });
    expect(await queue.jobs.cutOver('a')).toBeNull();
    expect(await ids(queue.jobs.queued())).toEqual(['a', 'b']);
  });

  it('that is cancelled while it is parked is started to be published, and prepared again by a retry', async () => {
    const queue = open();
    const seen = await parkedJob(queue, 'a');
    await queue.jobs.cancel(seen, decision('cancelled'));
    expect(await queue.jobs.cutOver('a')).toBeNull();
    await queue.runs.finish(await started(queue, 'a'), 'all', () => []);
    const cancelled = (await queue.jobs.get('a'))!;
    const again = await queue.jobs.retry(cancelled, { overrides: {}, reservedBytes: 5 });
    expect(again).toMatchObject({ state: 'queued', warm: 'preparing' });
    expect(await ids(queue.jobs.queued())).toEqual(['a']);
  });

  it('gets the delta that is claimed for it, which becomes a job of its own where none is parked', async () => {
    const queue = open();
    await parkedJob(queue, 'a');
    expect(await enqueue(queue, 'd1', { joins: 'a', reservedBytes: 7 })).toMatchObject({
      ...{ job: 'a', state: 'queued', warm: 'cutover', delta: 'd1', reservedBytes: 37 },
    });
    expect(await queue.jobs.isAwaited('d1')).toBe(true);
    expect(await queue.claims.pending()).toEqual([]);
    // Another one comes too late.
    expect(await enqueue(queue, 'd2', { joins: 'a' })).toMatchObject({ job: 'd2', warm: null, delta: null });
    const lease = await started(queue, 'a');
    const taken = await queue.runs.deltaTaken(lease, ['z', 'y']);
    expect(taken).toMatchObject({ entries: ['y', 'z'], delta: null, state: 'running' });
    expect(await queue.jobs.isAwaited('d1')).toBe(false);
  });

  it('is not parked by an earlier run of it', async () => {
    const queue = open();
    await enqueue(queue, 'a', { isWarm: true });
    const earlier = await started(queue, 'a');
    await queue.runs.requeueInterrupted();
    await started(queue, 'a');
    await expect(queue.runs.park(earlier, { result, writtenBytes: 0 })).rejects.toMatchObject(lost);
  });
});
