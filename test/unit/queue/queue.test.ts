import { describe, expect, it } from 'vitest';
import { pendingRecord } from '../../../src/engine/run-stage.js';
import { Hyper2kvmError } from '../../../src/errors/error.js';
import { migrate, openDatabase } from '../../../src/queue/database.js';
import { newJobId } from '../../../src/queue/ids.js';
import { openQueue } from '../../../src/queue/queue.js';
import { openSqlite } from '../../../src/queue/sqlite/open.js';
import { enqueue, scratchDirectory, scratchQueue, testClaim } from './scratch.js';

describe('openDatabase', () => {
  it('is durable at each commit and checks references', () => {
    const { database } = scratchQueue();
    expect(database.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' });
    expect(database.prepare('PRAGMA synchronous').get()).toEqual({ synchronous: 2 });
    expect(database.prepare('PRAGMA foreign_keys').get()).toEqual({ foreign_keys: 1 });
  });

  it('refuses a newer schema and leaves it as it is', () => {
    const { file, database } = scratchQueue();
    database.exec('PRAGMA user_version = 99');
    let code = '';
    try {
      openDatabase(file);
    } catch (error) {
      code = error instanceof Hyper2kvmError ? error.code : '';
    }
    expect(code).toBe('queue.newer-schema');
    expect(database.prepare('PRAGMA user_version').get()).toEqual({ user_version: 99 });
  });

  it('says what is wrong with a file that is no database', () => {
    expect(() => openDatabase('/proc/version')).toThrow(/the queue \/proc\/version cannot be opened/);
  });

  it('applies only the missing migrations, all or nothing', () => {
    const database = openSqlite(':memory:', {});
    migrate(database, ['CREATE TABLE a (x)'], 'f');
    expect(() => migrate(database, ['not run', 'CREATE TABLE b (x)', 'broken'], 'f')).toThrow();
    expect(database.prepare('PRAGMA user_version').get()).toEqual({ user_version: 1 });
    migrate(database, ['not run', 'CREATE TABLE b (x)'], 'f');
    expect(database.prepare('SELECT count(*) AS n FROM b').get()).toEqual({ n: 0 });
    database.close();
  });
});

describe('newJobId', () => {
  it('sorts by time and has one form', () => {
    expect(newJobId(0, () => 0)).toBe('0000000000000');
    const ids = [1, 31, 32, 1_700_000_000_000, 1_700_000_000_001].map((time) => newJobId(time));
    expect([...ids].sort()).toEqual(ids);
    for (const id of ids) expect(id).toMatch(/^[0-9a-hjkmnp-tv-z]{13}$/);
  });
});

describe('jobs', () => {
  it('gives the queue in order of priority, then of arrival', () => {
    const queue = scratchQueue();
    for (const id of ['a', 'b', 'c', 'd']) enqueue(queue, id);
    queue.jobs.update('c', { priority: 5 });
    queue.jobs.update('a', { state: 'running' });
    expect([...queue.jobs.queued()].map((job) => job.job)).toEqual(['c', 'b', 'd']);
  });

  it('keeps what was written over a new start', () => {
    const directory = scratchDirectory();
    const queue = scratchQueue(directory);
    enqueue(queue, 'a', { optionsFile: 'a.job.toml' });
    const error = { code: 'x.y', message: 'm', advice: 'a', retryable: false, causes: [] };
    const records = [{ ...pendingRecord('fetch'), status: 'failed' as const, error }];
    queue.jobs.update('a', {
      state: 'failed',
      error,
      records,
      overrides: { 'fix.mode': 'none' },
      priority: -3,
    });
    const again = openQueue(queue.file);
    expect(again.jobs.get('a')).toEqual(queue.jobs.get('a'));
    expect(again.jobs.get('a')).toMatchObject({ state: 'failed', error, records, priority: -3 });
    again.close();
  });

  it('finds a job by id, by the beginning of one, and by name', () => {
    const queue = scratchQueue();
    enqueue(queue, 'aaa1', { vm: 'web01' });
    enqueue(queue, 'aaa2', { vm: 'web01' });
    enqueue(queue, 'bbb1', { vm: 'db_%' });
    const found = (text: string) => queue.jobs.find(text).map((job) => job.job);
    expect(found('aaa1')).toEqual(['aaa1']);
    expect(found('b')).toEqual(['bbb1']);
    expect(found('web01')).toEqual(['aaa2']);
    expect(found('aaa')).toEqual(['aaa1', 'aaa2']);
    expect(found('%')).toEqual([]);
  });

  it('filters by state, name and time, and counts', () => {
    const queue = scratchQueue();
    enqueue(queue, 'a', { vm: 'web01' });
    enqueue(queue, 'b', { vm: 'db01' });
    queue.jobs.update('b', { state: 'converted' });
    const ids = (filter: Parameters<typeof queue.jobs.list>[0]) =>
      queue.jobs.list(filter).map((job) => job.job);
    expect(ids({ states: ['queued'] })).toEqual(['a']);
    expect(ids({ name: 'db' })).toEqual(['b']);
    expect(ids({ since: '2999-01-01' })).toEqual([]);
    expect(queue.jobs.counts()).toEqual({ queued: 1, running: 0, converted: 1, failed: 0, cancelled: 0 });
    expect(queue.jobs.reservedBytes()).toBe(100);
  });
});

describe('claims', () => {
  it('are pending until they become jobs', () => {
    const queue = scratchQueue();
    queue.claims.record(testClaim('a'));
    queue.claims.record(testClaim('b'));
    queue.claims.setPhase('b', 'copied');
    expect(queue.claims.pending().map(({ job, phase }) => [job, phase])).toEqual([
      ['a', 'moving'],
      ['b', 'copied'],
    ]);
    queue.claims.commit(testClaim('a'), ['x', 'b']);
    queue.claims.forget('b');
    expect(queue.claims.pending()).toEqual([]);
    expect(queue.jobs.list().map(({ job, entries }) => [job, entries])).toEqual([['a', ['b', 'x']]]);
  });

  it('do not become two jobs', () => {
    const queue = scratchQueue();
    enqueue(queue, 'a');
    expect(() => queue.claims.commit(testClaim('a'), [])).toThrow(/UNIQUE/);
  });
});

describe('checkpoints', () => {
  const record = { ...pendingRecord('x'), status: 'completed' as const };
  const checkpoint = (stage: string, output: unknown) => ({
    stage,
    id: `id-${stage}`,
    output,
    record,
    timestamp: 't',
  });

  it('come back in order and are forgotten from a stage on', () => {
    const queue = scratchQueue();
    enqueue(queue, 'a');
    enqueue(queue, 'b');
    const store = queue.checkpoints('a');
    for (const stage of ['fetch', 'flatten', 'inspect']) store.save(checkpoint(stage, { stage }));
    queue.checkpoints('b').save(checkpoint('fetch', null));
    expect(store.load()[1]).toEqual(checkpoint('flatten', { stage: 'flatten' }));
    store.truncate('flatten');
    store.truncate('never saved');
    expect(store.load().map((kept) => kept.stage)).toEqual(['fetch']);
    store.save(checkpoint('flatten', null));
    expect(store.load().map((kept) => kept.output)).toEqual([{ stage: 'fetch' }, null]);
    expect(queue.checkpoints('b').load()).toHaveLength(1);
  });
});
