import type { CheckpointStore } from '../pipeline/run-types.js';
import { checkpointStore } from './checkpoints.js';
import { ClaimTable } from './claims.js';
import { openDatabase, type Sqlite } from './database.js';
import { JobTable } from './jobs.js';
import { SettingTable } from './settings.js';

/** The open queue: SQLite is the truth, everything else can be made again from it and from the directories. */
export interface Queue {
  database: Sqlite;
  jobs: JobTable;
  claims: ClaimTable;
  settings: SettingTable;
  checkpoints(job: string): CheckpointStore;
  /** Throws when the database does not answer. */
  ping(): void;
  close(): void;
}

export function openQueue(file: string): Queue {
  const database = openDatabase(file);
  const jobs = new JobTable(database);
  const ping = database.prepare('SELECT count(*) FROM claims');
  return {
    database,
    jobs,
    claims: new ClaimTable(database, jobs),
    settings: new SettingTable(database),
    checkpoints: (job) => checkpointStore(database, job),
    ping: () => void ping.get(),
    close: () => void database.close(),
  };
}
