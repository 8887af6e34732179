import type { Job, QueueState } from '../model/job.js';
import type { Sqlite } from './database.js';
import { type JobRow, jobOf, rowOf } from './sqlite/job-row.js';

/** What one call may change; everything else of a job is fixed when it is claimed. */
export type JobChange = Partial<Omit<Job, 'job' | 'dropName' | 'entries' | 'createdAt' | 'updatedAt'>>;

export interface JobFilter {
  states?: readonly QueueState[];
  /** Part of the VM's or the drop's name. */
  name?: string;
  /** Created at or after this time (ISO 8601). */
  since?: string;
}

const COLUMNS = Object.keys(rowOf({} as Job));

/** The jobs table. Every call is one statement or one transaction, durable when it returns. */
export class JobTable {
  readonly #database: Sqlite;
  readonly #insert;
  readonly #get;
  readonly #next;
  readonly #update;
  readonly #counts;
  readonly #reserved;

  constructor(database: Sqlite) {
    this.#database = database;
    const values = COLUMNS.map((column) => `@${column}`);
    this.#insert = database.prepare<[JobRow]>(`INSERT INTO jobs (${COLUMNS}) VALUES (${values})`);
    this.#get = database.prepare<[string], JobRow>('SELECT * FROM jobs WHERE job = ?');
    this.#next = database.prepare<[], JobRow>(
      `SELECT * FROM jobs WHERE state = 'queued' ORDER BY priority DESC, job`,
    );
    const sets = COLUMNS.map((column) => `${column} = @${column}`);
    this.#update = database.prepare<[JobRow]>(`UPDATE jobs SET ${sets} WHERE job = @job`);
    this.#counts = database.prepare<[], { state: QueueState; count: number }>(
      'SELECT state, count(*) AS count FROM jobs GROUP BY state',
    );
    this.#reserved = database.prepare<[{ except: string; queued: QueueState }], { total: number | null }>(
      `SELECT sum(reserved_bytes) AS total FROM jobs WHERE state IN ('running', @queued) AND job <> @except`,
    );
  }

  insert(job: Job): void {
    this.#insert.run(rowOf(job));
  }

  get(id: string): Job | null {
    const row = this.#get.get(id);
    return row === undefined ? null : jobOf(row);
  }

  /** Queued jobs in the order in which they are to start. */
  *queued(): Generator<Job> {
    for (const row of this.#next.all()) yield jobOf(row);
  }

  /** Changes a job and its `updatedAt`. The job must exist. */
  update(id: string, change: JobChange): Job {
    return this.#database.transaction(() => {
      const job = this.get(id);
      if (job === null) throw new Error(`job ${id} is not in the queue`);
      const changed = { ...job, ...change, updatedAt: new Date().toISOString() };
      this.#update.run(rowOf(changed));
      return changed;
    })();
  }

  /**
   * A queued job becomes a running one, in the transaction that reads it: what was cancelled, tried again or
   * started by then is not started from an older copy of its row. Null when it is not queued any more.
   */
  start(id: string): Job | null {
    return this.#database.transaction(() => {
      const job = this.get(id);
      if (job === null || job.state !== 'queued') return null;
      if (job.outcome !== null) return this.update(id, { state: 'running' });
      const startedAt = job.startedAt ?? new Date().toISOString();
      return this.update(id, { state: 'running', startedAt, error: null, waitsForBytes: null });
    })();
  }

  /** A running job goes back into the queue; one in another state stays as it is. */
  requeue(id: string, change: Pick<JobChange, 'waitsForBytes' | 'crashes'> = {}): Job {
    return this.#database.transaction(() => {
      const job = this.get(id);
      if (job === null) throw new Error(`job ${id} is not in the queue`);
      return job.state === 'running' ? this.update(id, { ...change, state: 'queued' }) : job;
    })();
  }

  /** Oldest first. */
  list(filter: JobFilter = {}): Job[] {
    const where: string[] = [];
    const values: string[] = [];
    if (filter.states !== undefined) {
      where.push(`state IN (${filter.states.map(() => '?')})`);
      values.push(...filter.states);
    }
    if (filter.name !== undefined) {
      where.push('(instr(vm, ?) > 0 OR instr(drop_name, ?) > 0)');
      values.push(filter.name, filter.name);
    }
    if (filter.since !== undefined) {
      where.push('created_at >= ?');
      values.push(filter.since);
    }
    const condition = where.length === 0 ? '' : `WHERE ${where.join(' AND ')}`;
    const rows = this.#database.prepare<string[], JobRow>(`SELECT * FROM jobs ${condition} ORDER BY job`);
    return rows.all(...values).map(jobOf);
  }

  /** By id, by an unambiguous beginning of one, or the newest job of a VM. Several ids that begin so: all of them. */
  find(text: string): Job[] {
    const exact = this.get(text);
    if (exact !== null) return [exact];
    const newest = this.#database
      .prepare<[string], JobRow>('SELECT * FROM jobs WHERE vm = ? ORDER BY job DESC LIMIT 1')
      .get(text);
    if (newest !== undefined) return [jobOf(newest)];
    return this.#database
      .prepare<[string, string], JobRow>(
        'SELECT * FROM jobs WHERE substr(job, 1, length(?)) = ? ORDER BY job',
      )
      .all(text, text)
      .map(jobOf);
  }

  counts(): Record<QueueState, number> {
    const counts = { queued: 0, running: 0, converted: 0, failed: 0, cancelled: 0 };
    for (const { state, count } of this.#counts.all()) counts[state] = count;
    return counts;
  }

  /** Bytes promised to jobs that are not done, or of those to the running ones. */
  reservedBytes({ running = false, except = '' } = {}): number {
    return this.#reserved.get({ except, queued: running ? 'running' : 'queued' })?.total ?? 0;
  }
}
