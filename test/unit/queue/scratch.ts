import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Job } from '../../../src/model/job.js';
import type { Claim } from '../../../src/queue/claim.js';
import { openDatabase } from '../../../src/queue/sqlite/database.js';
import { jobTable } from '../../../src/queue/sqlite/jobs.js';
import { sqliteQueue } from '../../../src/queue/sqlite/store.js';
import type { QueueStore } from '../../../src/queue/store.js';
import { MemoryData, memoryQueue } from './memory-store.js';

/** A queue whose jobs a test may put into any state, as whatever had happened to them would have. */
export interface TestQueue extends QueueStore {
  set(job: string, change: Partial<Job>): void;
}

export function scratchDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'h2k-test-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** The queue of the product, in a file of the directory. */
export function scratchQueue(directory = scratchDirectory()): TestQueue & SqliteExtras {
  const file = join(directory, 'queue.db');
  const database = openDatabase(file);
  const queue = sqliteQueue(database);
  onTestFinished(() => queue.close());
  const jobs = jobTable(database);
  return {
    ...queue,
    file,
    database,
    set: (job, change) => void jobs.change(job, (before) => ({ ...before, ...change })),
    bulk: async (work) => {
      const writes: Promise<unknown>[] = [];
      database.transaction(() => work((write) => writes.push(write)))();
      await Promise.all(writes);
    },
  };
}

interface SqliteExtras {
  file: string;
  database: ReturnType<typeof openDatabase>;
  /** One transaction around calls that begin in `work` itself. */
  bulk(work: (add: (write: Promise<unknown>) => void) => void): Promise<void>;
}

/** A queue that answers later, as one on another host does. */
export function distantQueue(): TestQueue {
  const data = new MemoryData();
  return {
    ...memoryQueue(data),
    set: (job, change) => void data.jobs.set(job, { ...data.jobs.get(job)!, ...change }),
  };
}

/** Every implementation of the queue, by name. */
export const QUEUES: [string, (directory?: string) => TestQueue][] = [
  ['SQLite', scratchQueue],
  ['a queue that answers later', distantQueue],
];

export function testClaim(job: string, extra: Partial<Claim> = {}): Claim {
  return {
    job,
    vm: `vm-${job}`,
    dropName: `vm-${job}.vmdk`,
    entries: [{ name: `vm-${job}.vmdk`, device: 1, inode: 2, bornMs: 0, fingerprint: 's' }],
    optionsFile: null,
    refused: null,
    reservedBytes: 100,
    phase: 'moving',
    ...extra,
  };
}

/** Claims and queues a job. */
export async function enqueue(
  queue: Pick<QueueStore, 'claims'>,
  job: string,
  extra: Partial<Claim> = {},
): Promise<Job> {
  const claim = testClaim(job, extra);
  const names = claim.entries.map((entry) => entry.name);
  const recorded = queue.claims.record(claim);
  const committed = queue.claims.commit(claim, names);
  await recorded;
  return committed;
}
