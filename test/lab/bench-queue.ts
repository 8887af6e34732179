import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDatabase } from '#hyper2kvm/queue/sqlite/database.js';
import { sqliteQueue } from '#hyper2kvm/queue/sqlite/store.js';

/**
 * Seconds to claim and queue `jobs` drops in one transaction and to list them, in a database on disk with the
 * daemon's own settings.
 */
export async function benchQueue(jobs: number): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'hyper2kvm-queue-'));
  const database = openDatabase(join(directory, 'queue.db'));
  const queue = sqliteQueue(database);
  try {
    const started = performance.now();
    const writes: Promise<unknown>[] = [];
    // SQLite does what it is asked for inside the call, so inside the transaction.
    database.transaction(() => {
      for (let index = 0; index < jobs; index += 1) {
        const job = `bench${String(index).padStart(8, '0')}`;
        const claim = {
          job,
          vm: job,
          dropName: `${job}.vmdk`,
          entries: [{ name: `${job}.vmdk`, device: 1, inode: index, bornMs: 0, fingerprint: job }],
          optionsFile: null,
          refused: null,
          reservedBytes: 1,
          phase: 'moving',
        } as const;
        writes.push(queue.claims.record({ ...claim, entries: [...claim.entries] }));
        writes.push(queue.claims.commit({ ...claim, entries: [...claim.entries] }, [`${job}.vmdk`]));
      }
    })();
    await Promise.all(writes);
    const listed = (await queue.jobs.list()).length;
    if (listed !== jobs) throw new Error(`${listed} of ${jobs} jobs listed`);
    return (performance.now() - started) / 1000;
  } finally {
    await queue.close();
    await rm(directory, { recursive: true });
  }
}
