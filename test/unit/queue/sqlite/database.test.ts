import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pendingRecord } from '../../../../src/engine/run-stage.js';
import { Hyper2kvmError } from '../../../../src/errors/error.js';
import { migrate, openDatabase } from '../../../../src/queue/sqlite/database.js';
import { MIGRATIONS } from '../../../../src/queue/sqlite/migrations/index.js';
import { openSqlite } from '../../../../src/queue/sqlite/open.js';
import { openSqliteQueue } from '../../../../src/queue/sqlite/store.js';
import { enqueue, scratchDirectory, scratchQueue } from '../scratch.js';

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

  it('says what is wrong with a file that is not a database', () => {
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

/** As the daemon before owners and tokens leaves it when it is killed. */
function oldDatabase(): string {
  const file = join(scratchDirectory(), 'queue.db');
  const old = openSqlite(file, {});
  migrate(old, MIGRATIONS.slice(0, 4), file);
  const job = old.prepare<[string, string, string | null]>(
    `INSERT INTO jobs (job, vm, drop_name, entries, state, started_at, created_at, updated_at)
     VALUES (?, 'web01', 'web01.vmdk', '["web01.vmdk"]', ?, ?, '2026-01-31', '2026-01-31')`,
  );
  job.run('a', 'running', '2026-01-31');
  job.run('b', 'queued', null);
  job.run('c', 'failed', '2026-01-31');
  const entry = { name: 'a "stamp": b', device: 1, inode: 2, stamp: 'as it was' };
  const claim = { job: 'd', vm: 'd', dropName: entry.name, entries: [entry], phase: 'moving' };
  old
    .prepare<[string]>(`INSERT INTO claims VALUES ('d', 'copying', ?, '2026-01-31')`)
    .run(JSON.stringify(claim));
  old.close();
  return file;
}

describe('a database of an older daemon', () => {
  it('gets an owner, who takes back what ran and finishes what was being claimed', async () => {
    const queue = openSqliteQueue(oldDatabase());
    expect(queue.owner).toMatch(/^[0-9a-f]{16}$/);
    expect(await queue.jobs.get('a')).toMatchObject({ state: 'running', owner: queue.owner, token: 1 });
    expect(await queue.jobs.get('b')).toMatchObject({ owner: null, token: 0 });
    expect(await queue.jobs.get('c')).toMatchObject({ owner: null, token: 1 });
    expect(await queue.runs.requeueInterrupted()).toMatchObject([{ job: 'a', state: 'queued', crashes: 1 }]);
    expect((await queue.runs.start('a'))?.lease.token).toBe(2);
    expect(await queue.claims.pending()).toMatchObject([
      { phase: 'copying', entries: [{ name: 'a "stamp": b', fingerprint: 'as it was' }] },
    ]);
    await queue.close();
  });

  it('has an owner of its own, which stays', async () => {
    const [file, other] = [oldDatabase(), oldDatabase()];
    const owners: string[] = [];
    for (const each of [file, file, other]) {
      const queue = openSqliteQueue(each);
      owners.push(queue.owner);
      await queue.close();
    }
    expect(owners[1]).toBe(owners[0]);
    expect(owners[2]).not.toBe(owners[0]);
  });
});

it('keeps what was written over a new start', async () => {
  const queue = scratchQueue();
  await enqueue(queue, 'a', { optionsFile: 'a.job.toml' });
  const error = { code: 'x.y', message: 'm', advice: 'a', retryable: false, causes: [] };
  const records = [{ ...pendingRecord('fetch'), status: 'failed' as const, error }];
  queue.set('a', { state: 'failed', error, records, overrides: { 'fix.mode': 'none' }, priority: -3 });
  const again = openSqliteQueue(queue.file);
  expect(await again.jobs.get('a')).toEqual(await queue.jobs.get('a'));
  expect(await again.jobs.get('a')).toMatchObject({ state: 'failed', error, records, priority: -3 });
  await again.close();
});
