import type { Job } from '../../model/job.js';
import type { Claim } from '../claim.js';
import { newJob } from '../job-changes.js';
import type { Claims } from '../store.js';
import type { JobTable } from './jobs.js';
import type { Sqlite } from './open.js';

export function sqliteClaims(database: Sqlite, jobs: JobTable): Claims {
  const insert = database.prepare<[string, string, string, string]>(
    'INSERT INTO claims (job, phase, claim, created_at) VALUES (?, ?, ?, ?)',
  );
  const setPhase = database.prepare<[string, string]>('UPDATE claims SET phase = ? WHERE job = ?');
  const pending = database.prepare<[], { phase: Claim['phase']; claim: string }>(
    'SELECT phase, claim FROM claims ORDER BY job',
  );
  const remove = database.prepare<[string]>('DELETE FROM claims WHERE job = ?');
  const become = database.transaction((claim: Claim, entries: readonly string[]): Job => {
    remove.run(claim.job);
    const joined = claim.joins === undefined ? null : jobs.cutOver(claim.joins, claim);
    if (joined !== null) return joined;
    const job = newJob(claim, entries, new Date().toISOString());
    jobs.insert(job);
    return job;
  });
  return {
    async record(claim) {
      insert.run(claim.job, claim.phase, JSON.stringify(claim), new Date().toISOString());
    },
    async setPhase(job, phase) {
      setPhase.run(phase, job);
    },
    async pending() {
      return pending.all().map(({ phase, claim }) => ({ ...(JSON.parse(claim) as Claim), phase }));
    },
    async commit(claim, entries) {
      return become(claim, entries);
    },
    async forget(job) {
      remove.run(job);
    },
  };
}
