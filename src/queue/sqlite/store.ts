import type { QueueStore } from '../store.js';
import { checkpointTable, sqliteCheckpoints } from './checkpoints.js';
import { sqliteClaims } from './claims.js';
import { openDatabase } from './database.js';
import { jobTable, sqliteJobs } from './jobs.js';
import type { Sqlite } from './open.js';
import { sqliteOutbox } from './outbox.js';
import { sqliteRuns } from './runs.js';
import { OWNER, settingTable, sqlitePause } from './settings.js';
import { sqliteStatistics } from './statistics.js';
import { sqliteUndo } from './undo.js';

/**
 * Opens the queue of one host, in a single SQLite file. Each call is executed synchronously, so calls never
 * interleave. Errors: those of `openDatabase`.
 */
export function openSqliteQueue(file: string): QueueStore {
  return sqliteQueue(openDatabase(file));
}

/** Returns a queue over an open database with the current schema. */
export function sqliteQueue(database: Sqlite): QueueStore {
  const jobs = jobTable(database);
  const checkpoints = checkpointTable(database);
  const outbox = sqliteOutbox(database);
  const statistics = sqliteStatistics(database);
  const settings = settingTable(database);
  const alive = database.prepare('SELECT count(*) FROM claims');
  return {
    owner: settings.get(OWNER)!,
    jobs: sqliteJobs(database, jobs, checkpoints),
    runs: sqliteRuns({ database, jobs, checkpoints, outbox, statistics, settings }),
    claims: sqliteClaims(database, jobs),
    checkpoints: sqliteCheckpoints(database, jobs, checkpoints),
    outbox,
    statistics,
    pause: sqlitePause(database, settings, outbox),
    undo: sqliteUndo(database),
    async ping() {
      alive.get();
    },
    async close() {
      database.close();
    },
  };
}
