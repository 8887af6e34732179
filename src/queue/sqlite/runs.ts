import {
  advanced,
  decided,
  deltaTaken,
  finished,
  hasRun,
  interrupted,
  isHeld,
  leaseOf,
  leftInFailed,
  parked,
  recorded,
  refusedRecord,
  reopened,
  requeued,
  reserved,
  started,
} from '../job-changes.js';
import type { Runs } from '../store.js';
import type { SqliteCheckpoints } from './checkpoints.js';
import type { JobTable } from './jobs.js';
import type { Sqlite } from './open.js';
import type { SqliteOutbox } from './outbox.js';
import { OWNER, PAUSED, type Settings } from './settings.js';
import type { SqliteStatistics } from './statistics.js';

interface RunParts {
  database: Sqlite;
  jobs: JobTable;
  checkpoints: SqliteCheckpoints;
  outbox: SqliteOutbox;
  statistics: SqliteStatistics;
  settings: Settings;
}

/**
 * The runs of one host. Leases do not expire here: the instance lock keeps a second daemon away, and the next
 * start takes them back.
 */
export function sqliteRuns(parts: RunParts): Runs {
  const { database, jobs, checkpoints, outbox, statistics, settings } = parts;
  const owner = settings.get(OWNER)!;
  const running = database.prepare<[string], { job: string }>(
    `SELECT job FROM jobs WHERE state = 'running' AND owner = ? ORDER BY job`,
  );
  const inOne = <T>(work: () => T): T => database.transaction(work)();
  return {
    async start(id) {
      const job = inOne(() => {
        const isPaused = settings.get(PAUSED) !== null;
        return jobs.change(id, (queued) => started(queued, owner, isPaused, new Date().toISOString()));
      });
      return job === null ? null : { job, lease: leaseOf(job) };
    },
    async renew(leases) {
      return leases.filter((lease) => {
        const job = jobs.get(lease.job);
        return job === null || !isHeld(job, lease);
      });
    },
    async enterStage(lease, stage) {
      return jobs.changeHeld(lease, (job) => ({ ...job, stage }));
    },
    async advanced(lease) {
      return jobs.changeHeld(lease, advanced);
    },
    recordStage: async (lease, record) =>
      inOne(() => {
        const job = jobs.changeHeld(lease, (before) => recorded(before, record));
        if (hasRun(record)) statistics.addRun(record);
        return job;
      }),
    async endStages(lease, records) {
      return jobs.changeHeld(lease, (job) => ({ ...job, records }));
    },
    reserve: async (lease, bytes, { atLeast = false } = {}) =>
      inOne(() => {
        jobs.changeHeld(lease, (job) => reserved(job, bytes, atLeast));
        return jobs.reservedBytes({ running: true, except: lease.job });
      }),
    async reopened(lease) {
      return jobs.changeHeld(lease, reopened);
    },
    async leftInFailed(lease) {
      return jobs.changeHeld(lease, leftInFailed);
    },
    decide: async (lease, decision) =>
      inOne(() =>
        jobs.changeHeld(lease, (job) => {
          const refused = refusedRecord(job, decision);
          if (refused !== null) checkpoints.refuse(job.job, refused);
          return decided(job, decision);
        }),
      ),
    async park(lease, parking) {
      return jobs.changeHeld(lease, (job) => parked(job, parking));
    },
    async deltaTaken(lease, entries) {
      return jobs.changeHeld(lease, (job) => deltaTaken(job, entries));
    },
    async requeue(lease, change) {
      return jobs.changeHeld(lease, (job) => requeued(job, change));
    },
    finish: async (lease, keep, tell) =>
      inOne(() => {
        const job = jobs.changeHeld(lease, finished);
        outbox.insert(tell(job), Date.now());
        checkpoints.keep(job.job, keep);
        return job;
      }),
    requeueInterrupted: async () =>
      inOne(() => running.all(owner).flatMap(({ job }) => jobs.change(job, interrupted) ?? [])),
  };
}
