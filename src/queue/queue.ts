import { checkpointStore, type JobCheckpoints } from './checkpoints.js';
import { ClaimTable } from './claims.js';
import { openDatabase, type Sqlite } from './database.js';
import { JobTable } from './jobs.js';
import { Outbox } from './outbox.js';
import { SettingTable } from './settings.js';
import { Statistics } from './statistics.js';

/** The open queue: SQLite is the truth, everything else can be made again from it and from the directories. */
export interface Queue {
  database: Sqlite;
  jobs: JobTable;
  claims: ClaimTable;
  settings: SettingTable;
  outbox: Outbox;
  statistics: Statistics;
  /** All of it or nothing. */
  transaction<T>(changes: () => T): T;
  checkpoints(job: string): JobCheckpoints;
  /** Of a job that is done for good: its stages' outputs are in its report, and large. */
  forgetOutputs(job: string): void;
  /** `retry` of this job starts from the drop. */
  forgetCheckpoints(job: string): void;
  /** Throws when the database does not answer. */
  ping(): void;
  close(): void;
}

export function openQueue(file: string): Queue {
  const database = openDatabase(file);
  const jobs = new JobTable(database);
  const ping = database.prepare('SELECT count(*) FROM claims');
  const empty = database.prepare<[string]>("UPDATE checkpoints SET output = 'null' WHERE job = ?");
  const remove = database.prepare<[string]>('DELETE FROM checkpoints WHERE job = ?');
  return {
    database,
    jobs,
    claims: new ClaimTable(database, jobs),
    settings: new SettingTable(database),
    outbox: new Outbox(database),
    statistics: new Statistics(database),
    transaction: (changes) => database.transaction(changes)(),
    checkpoints: (job) => checkpointStore(database, job),
    forgetOutputs: (job) => void empty.run(job),
    forgetCheckpoints: (job) => void remove.run(job),
    ping: () => void ping.get(),
    close: () => void database.close(),
  };
}
