import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openQueue } from '#hyper2kvm/queue/queue.js';

/** Seconds to claim and queue `jobs` drops in one transaction and to list them, in a database on disk with the daemon's own settings. */
export async function benchQueue(jobs: number): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'hyper2kvm-queue-'));
  const queue = openQueue(join(directory, 'queue.db'));
  try {
    const started = performance.now();
    queue.database.transaction(() => {
      for (let index = 0; index < jobs; index += 1) {
        const job = `bench${String(index).padStart(8, '0')}`;
        const claim = {
          job,
          vm: job,
          dropName: `${job}.vmdk`,
          entries: [{ name: `${job}.vmdk`, device: 1, inode: index, bornMs: 0, stamp: job }],
          optionsFile: null,
          refused: null,
          reservedBytes: 1,
          phase: 'moving',
        } as const;
        queue.claims.record({ ...claim, entries: [...claim.entries] });
        queue.claims.commit({ ...claim, entries: [...claim.entries] }, [`${job}.vmdk`]);
      }
    })();
    const listed = queue.jobs.list().length;
    if (listed !== jobs) throw new Error(`${listed} of ${jobs} jobs listed`);
    return (performance.now() - started) / 1000;
  } finally {
    queue.close();
    await rm(directory, { recursive: true });
  }
}
