import type { Job, QueueState } from '../../model/job.js';
import type { Claim } from '../claim.js';
import { cancelled, cutOver, held, retried } from '../job-changes.js';
import type { JobFilter, Jobs, Lease } from '../store.js';
import type { SqliteCheckpoints } from './checkpoints.js';
import { type JobRow, jobOf, rowOf } from './job-row.js';
import type { Sqlite } from './open.js';

/** True of a row that `isParked` accepts. */
export const PARKED = "(state = 'queued' AND warm IS 'parked' AND outcome IS NULL)";
const COLUMNS = Object.keys(rowOf({} as Job));

/** The table itself, for code that changes a job and something else in one transaction. */
export interface JobTable {
  get(id: string): Job | null;
  insert(job: Job): void;
  /** Returns null if there is no such job, or if `change` returns null. */
  change(id: string, change: (job: Job) => Job | null): Job | null;
  cutOver(id: string, claim: Pick<Claim, 'job' | 'reservedBytes'> | null): Job | null;
  /** The same as `change` for a running job. Throws `queue.lease-lost`. */
  changeHeld(lease: Lease, change: (job: Job) => Job): Job;
  reservedBytes(options?: { running?: boolean; except?: string }): number;
}

export function jobTable(database: Sqlite): JobTable {
  const select = database.prepare<[string], JobRow>('SELECT * FROM jobs WHERE job = ?');
  const values = COLUMNS.map((column) => `@${column}`);
  const insert = database.prepare<[JobRow]>(`INSERT INTO jobs (${COLUMNS}) VALUES (${values})`);
  const sets = COLUMNS.map((column) => `${column} = @${column}`);
  const update = database.prepare<[JobRow]>(`UPDATE jobs SET ${sets} WHERE job = @job`);
  const reserved = database.prepare<[{ except: string; queued: QueueState }], { total: number | null }>(
    `SELECT sum(reserved_bytes) AS total FROM jobs WHERE state IN ('running', @queued) AND job <> @except`,
  );
  const get = (id: string): Job | null => {
    const row = select.get(id);
    return row === undefined ? null : jobOf(row);
  };
  const change = database.transaction((id: string, make: (job: Job | null) => Job | null): Job | null => {
    const made = make(get(id));
    if (made === null) return null;
    const changed = { ...made, updatedAt: new Date().toISOString() };
    update.run(rowOf(changed));
    return changed;
  });
  return {
    get,
    insert: (job) => void insert.run(rowOf(job)),
    change: (id, make) => change(id, (job) => (job === null ? null : make(job))),
    cutOver: (id, claim) => change(id, (job) => (job === null ? null : cutOver(job, claim))),
    changeHeld: (lease, make) => change(lease.job, (job) => make(held(job, lease)))!,
    reservedBytes({ running = false, except = '' } = {}) {
      return reserved.get({ except, queued: running ? 'running' : 'queued' })?.total ?? 0;
    },
  };
}

export function sqliteJobs(database: Sqlite, table: JobTable, checkpoints: SqliteCheckpoints): Jobs {
  const next = database.prepare<[], JobRow>(
    `SELECT * FROM jobs WHERE state = 'queued' AND NOT ${PARKED} ORDER BY priority DESC, job`,
  );
  // Both from an index: a scan has to step over the records of every job.
  const counts = database.prepare<[], { state: QueueState; count: number }>(
    'SELECT state, count(*) AS count FROM jobs GROUP BY state',
  );
  const parked = database.prepare<[], { count: number }>(
    `SELECT count(*) AS count FROM jobs WHERE warm = 'parked' AND ${PARKED}`,
  );
  const awaiting = database.prepare<[string], { job: string }>('SELECT job FROM jobs WHERE delta = ?');
  const newest = database.prepare<[string], JobRow>(
    'SELECT * FROM jobs WHERE vm = ? ORDER BY job DESC LIMIT 1',
  );
  const beginning = database.prepare<[string, string], JobRow>(
    'SELECT * FROM jobs WHERE substr(job, 1, length(?)) = ? ORDER BY job',
  );
  return {
    async get(id) {
      return table.get(id);
    },
    async find(text) {
      const exact = table.get(text);
      if (exact !== null) return [exact];
      const row = newest.get(text);
      if (row !== undefined) return [jobOf(row)];
      return beginning.all(text, text).map(jobOf);
    },
    async list(filter = {}) {
      const { condition, values } = conditionOf(filter);
      const rows = database.prepare<string[], JobRow>(`SELECT * FROM jobs ${condition} ORDER BY job`);
      return rows.all(...values).map(jobOf);
    },
    async *queued() {
      // Parsed one by one, because usually only the first few are needed.
      for (const row of next.all()) yield jobOf(row);
    },
    async counts() {
      const result = { queued: 0, parked: 0, running: 0, converted: 0, failed: 0, cancelled: 0 };
      for (const { state, count } of counts.all()) result[state] = count;
      result.parked = parked.get()?.count ?? 0;
      result.queued -= result.parked;
      return result;
    },
    async reservedBytes(options) {
      return table.reservedBytes(options);
    },
    async setPriority(id, priority) {
      return table.change(id, (job) => ({ ...job, priority }));
    },
    async cancel(seen, decision) {
      return table.change(seen.job, (job) => cancelled(job, seen, decision));
    },
    retry: async (seen, request) =>
      database.transaction(() => {
        const job = table.change(seen.job, (now) => retried(now, seen, request));
        if (job !== null && request.from !== undefined) checkpoints.truncate(job.job, request.from);
        return job;
      })(),
    async cutOver(id) {
      return table.cutOver(id, null);
    },
    async isAwaited(delta) {
      return awaiting.get(delta) !== undefined;
    },
  };
}

function conditionOf({ states, name, since, warm }: JobFilter): { condition: string; values: string[] } {
  const where: string[] = [];
  const values: string[] = [];
  if (states !== undefined) {
    where.push(`state IN (${states.map(() => '?')})`);
    values.push(...states);
  }
  if (warm !== undefined) {
    where.push(`warm IN (${warm.map(() => '?')})`);
    values.push(...warm);
  }
  if (name !== undefined) {
    where.push('(instr(vm, ?) > 0 OR instr(drop_name, ?) > 0)');
    values.push(name, name);
  }
  if (since !== undefined) {
    where.push('created_at >= ?');
    values.push(since);
  }
  return { condition: where.length === 0 ? '' : `WHERE ${where.join(' AND ')}`, values };
}
