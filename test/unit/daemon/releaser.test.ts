import { pino } from 'pino';
import { describe, expect, it, vi } from 'vitest';
import { configSchema } from '../../../src/config/schema.js';
import { createEvents } from '../../../src/daemon/events.js';
import { Releaser } from '../../../src/daemon/releaser.js';
import { errorRecord, Hyper2kvmError } from '../../../src/errors/error.js';
import type { UndoRecord } from '../../../src/model/undo.js';
import type { Release } from '../../../src/sources/remote/release.js';
import { enqueue, QUEUES } from '../queue/scratch.js';

const record = (target: string): UndoRecord => ({ connection: 'az', what: 'access', target });
const unreachable = errorRecord(new Hyper2kvmError('remote.unreachable', 'no route', { retryable: true }));

describe.each(QUEUES)('what jobs made on other hosts, in %s', (_name, open) => {
  async function releaser(outcome: (target: string) => 'gone' | 'left') {
    const queue = open();
    const events = createEvents();
    const asked: string[][] = [];
    const release: Release = async (_job, records) => {
      asked.push(records.map(({ target }) => target));
      return records.map((one) => ({
        record: one,
        error: outcome(one.target) === 'gone' ? null : unreachable,
      }));
    };
    let log = '';
    const lines = {
      write(line: string) {
        log += line;
      },
    };
    const config = () => configSchema.parse({});
    const made = new Releaser({ config, queue, events, release, log: pino({}, lines) });
    for (const job of ['ended', 'waiting']) await enqueue(queue, job);
    queue.set('ended', { state: 'converted' });
    return { queue, events, asked, releaser: made, log: () => log };
  }

  it('is undone when its job has ended, and not before', async () => {
    const { queue, events, asked, releaser: made } = await releaser(() => 'gone');
    await queue.undo.add('waiting', [record('/disk')]);
    made.start();
    try {
      await vi.waitFor(async () => expect(await made.release()).toEqual([]));
      expect(asked).toEqual([]);
      queue.set('waiting', { state: 'cancelled' });
      events.emit('job:changed', (await queue.jobs.get('waiting'))!);
      await vi.waitFor(async () => expect(await queue.undo.all()).toEqual([]));
      expect(asked).toEqual([['/disk']]);
    } finally {
      await made.stop();
    }
  });

  it('is undone at a start, also of a job that is not known any more', async () => {
    const { queue, releaser: made } = await releaser(() => 'gone');
    await queue.undo.add('ended', [record('/disk')]);
    await queue.undo.add('unknown', [record('/disk')]);
    made.start();
    try {
      await vi.waitFor(async () => expect(await queue.undo.all()).toEqual([]));
    } finally {
      await made.stop();
    }
  });

  it('stays recorded until it is gone, and a warning names it', async () => {
    let outcome: 'gone' | 'left' = 'left';
    const { queue, releaser: made, log } = await releaser((target) => (target === '/a' ? 'gone' : outcome));
    await queue.undo.add('ended', [record('/a'), record('/b')]);
    expect(await made.release('ended')).toEqual([
      { job: 'ended', ...record('/a'), error: null },
      { job: 'ended', ...record('/b'), error: unreachable },
    ]);
    expect(await queue.undo.all()).toEqual([{ job: 'ended', ...record('/b') }]);
    expect(log()).toContain('"code":"remote.left-behind"');
    outcome = 'gone';
    expect(await made.release()).toMatchObject([{ target: '/b', error: null }]);
    expect(await made.release()).toEqual([]);
  });

  it('is not taken from a job that still runs', async () => {
    const { queue, releaser: made } = await releaser(() => 'gone');
    await queue.undo.add('waiting', [record('/disk')]);
    await expect(made.release('waiting')).rejects.toMatchObject({ code: 'api.wrong-state' });
    await expect(made.release('nothing')).rejects.toMatchObject({ code: 'api.no-job' });
    expect(await queue.undo.all()).toHaveLength(1);
  });

  it('stays recorded if its job is begun again meanwhile, which may make the same once more', async () => {
    const { queue, releaser: made } = await releaser(() => {
      queue.set('ended', { state: 'queued' });
      return 'gone';
    });
    await queue.undo.add('ended', [record('/disk')]);
    expect(await made.release()).toMatchObject([{ error: null }]);
    expect(await queue.undo.all()).toHaveLength(1);
  });

  it('stays recorded if the fetching unit does not answer', async () => {
    const queue = open();
    const release: Release = () => Promise.reject(new Hyper2kvmError('remote.unreachable', 'no unit'));
    const config = () => configSchema.parse({});
    const log = pino({ level: 'silent' });
    const made = new Releaser({ config, queue, events: createEvents(), release, log });
    await queue.undo.add('gone', [record('/disk')]);
    expect(await made.release()).toMatchObject([{ error: { code: 'remote.unreachable' } }]);
    expect(await queue.undo.all()).toHaveLength(1);
  });
});
