import { createServer } from 'node:net';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { configSchema } from '../../../src/config/schema.js';
import { pendingRecord } from '../../../src/engine/run-stage.js';
import { collectMetrics } from '../../../src/metrics/collect.js';
import { exposition } from '../../../src/metrics/exposition.js';
import { MetricsServer } from '../../../src/metrics/server.js';
import { migrate } from '../../../src/queue/sqlite/database.js';
import { MIGRATIONS } from '../../../src/queue/sqlite/migrations/index.js';
import { openSqlite } from '../../../src/queue/sqlite/open.js';
import { openSqliteQueue } from '../../../src/queue/sqlite/store.js';
import type { QueueStore } from '../../../src/queue/store.js';
import { enqueue, scratchDirectory, scratchQueue } from '../queue/scratch.js';
import { parseExposition } from './parse.js';

function collect(queue: QueueStore, directory: string): Promise<string> {
  const config = configSchema.parse({
    spool: { incoming: '/nonexistent', work: directory, archive: directory, failed: directory },
    state: { database: `${directory}/queue.db` },
  });
  const status = async () => ({
    version: '1.2.3',
    jobs: { waiting: 1, ...(await queue.jobs.counts()) },
    paused_reason: null,
  });
  return collectMetrics({ queue, config: () => config, status });
}

const ran = { ...pendingRecord('convert'), status: 'completed' as const, seconds: 1.5, bytes_read: 7 };

describe('exposition', () => {
  it('escapes labels and help', () => {
    const samples = [{ labels: { directory: 'a"b\\c\nd' }, value: 1e21 }];
    const text = exposition([{ name: 'x', type: 'gauge', help: 'a\nb\\', samples }]);
    expect(text).toBe('# HELP x a\\nb\\\\\n# TYPE x gauge\nx{directory="a\\"b\\\\c\\nd"} 1e+21\n');
    expect(parseExposition(text).size).toBe(1);
  });
});

describe('metrics', () => {
  it('are in the format, and add up over runs', async () => {
    const directory = scratchDirectory();
    const queue = scratchQueue(directory);
    await enqueue(queue, 'a');
    await enqueue(queue, 'b');
    const boot = { verdict: 'booted', level: 'login', seconds: 1, accelerator: 'tcg', warnings: [] };
    queue.set('b', { state: 'converted', result: { plan: null, boot, sourceId: null } });
    const { lease } = (await queue.runs.start('a'))!;
    for (const record of [ran, ran, { ...ran, status: 'reused' as const }])
      await queue.runs.recordStage(lease, record);
    await queue.runs.requeue(lease);
    await queue.outbox.add([{ key: 'k', target: 'chat', event: 'paused', body: '{}' }], 0);
    const samples = parseExposition(await collect(queue, directory));
    expect(Object.fromEntries(samples)).toMatchObject({
      'hyper2kvm_build_info{version="1.2.3"}': 1,
      'hyper2kvm_jobs{state="waiting"}': 1,
      'hyper2kvm_jobs{state="converted"}': 1,
      hyper2kvm_queue_depth: 1,
      'hyper2kvm_queue_paused{reason="space"}': 0,
      'hyper2kvm_stage_runs_total{stage="convert",status="completed"}': 2,
      'hyper2kvm_stage_seconds_total{stage="convert",status="completed"}': 3,
      'hyper2kvm_stage_read_bytes_total{stage="convert",status="completed"}': 14,
      'hyper2kvm_boots{verdict="booted"}': 1,
      'hyper2kvm_notifications_pending{target="chat"}': 1,
    });
    expect(samples.get(`hyper2kvm_free_bytes{directory="${directory}"}`)).toBeGreaterThan(0);
    expect([...samples.keys()].join()).not.toMatch(/nonexistent|reused/);
  });

  it('count what ran before there were totals', async () => {
    const file = `${scratchDirectory()}/queue.db`;
    const old = openSqlite(file, {});
    migrate(old, MIGRATIONS.slice(0, 3), file);
    old
      .prepare(
        `INSERT INTO jobs (job, vm, drop_name, entries, state, records, created_at, updated_at)
         VALUES ('a', 'a', 'a', '[]', 'converted', ?, '', '')`,
      )
      .run(JSON.stringify([ran, pendingRecord('validate')]));
    old.close();
    const queue = openSqliteQueue(file);
    expect(await queue.statistics.stageTotals()).toEqual([
      { stage: 'convert', status: 'completed', runs: 1, seconds: 1.5, bytes_read: 7, bytes_written: 0 },
    ]);
    await queue.close();
  });

  it('of 10,000 jobs are quick', async () => {
    const directory = scratchDirectory();
    const queue = scratchQueue(directory);
    const records = ['fetch', 'flatten', 'inspect', 'plan', 'fix', 'convert', 'validate'].map((stage) => ({
      ...ran,
      stage,
    }));
    await queue.bulk((add) => {
      for (let n = 0; n < 10_000; n += 1) {
        add(enqueue(queue, `job${n}`));
        if (n % 2 === 0) queue.set(`job${n}`, { state: 'converted', records });
      }
    });
    await collect(queue, directory);
    const times: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      const before = performance.now();
      await collect(queue, directory);
      times.push(performance.now() - before);
    }
    expect(Math.min(...times)).toBeLessThan(50);
  }, 20_000);
});

describe('MetricsServer', () => {
  it('says that its port is taken', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void other.close());
    const address = other.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const server = new MetricsServer(`127.0.0.1:${port}`, async () => '', pino({ level: 'silent' }));
    await expect(server.start()).rejects.toMatchObject({ code: 'api.metrics' });
  });
});

describe('metrics.listen', () => {
  it.each(['', '127.0.0.1:9180', '127.8.0.1:80', '[::1]:9180'])('takes %j', (listen) => {
    expect(configSchema.safeParse({ metrics: { listen } }).success).toBe(true);
  });
  it.each([
    '0.0.0.0:9180',
    '192.168.0.1:9180',
    '[::]:9180',
    'localhost:9180',
    '127.0.0.1',
    '127.0.0.1:0',
    '127.0.0.1:65536',
    '127.0.0.300:1',
  ])('refuses %j', (listen) => {
    const { error } = configSchema.safeParse({ metrics: { listen } });
    expect(error?.message).toContain('a loopback address with a port');
  });
});
