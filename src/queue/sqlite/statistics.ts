import type { StageRecord } from '../../model/stage-record.js';
import type { StageTotal, Statistics } from '../store.js';
import { PARKED } from './jobs.js';
import type { Sqlite } from './open.js';

export interface SqliteStatistics extends Statistics {
  /** Runs in the transaction that records the stage. */
  addRun(record: StageRecord): void;
}

export function sqliteStatistics(database: Sqlite): SqliteStatistics {
  const add = database.prepare<[Omit<StageTotal, 'runs'>]>(
    `INSERT INTO stage_totals VALUES (@stage, @status, 1, @seconds, @bytes_read, @bytes_written)
     ON CONFLICT (stage, status) DO UPDATE SET runs = runs + 1, seconds = seconds + excluded.seconds,
     bytes_read = bytes_read + excluded.bytes_read, bytes_written = bytes_written + excluded.bytes_written`,
  );
  const totals = database.prepare<[], StageTotal>('SELECT * FROM stage_totals ORDER BY stage, status');
  const boots = database.prepare<[], { verdict: string; count: number }>(
    `SELECT summary ->> '$.boot.verdict' AS verdict, count(*) AS count FROM jobs
     WHERE summary ->> '$.boot.verdict' IS NOT NULL GROUP BY summary ->> '$.boot.verdict'`,
  );
  const oldest = database.prepare<[], { since: string | null }>(
    `SELECT min(updated_at) AS since FROM jobs WHERE state = 'queued' AND NOT ${PARKED}`,
  );
  return {
    addRun({ stage, status, seconds, bytes_read, bytes_written }) {
      add.run({ stage, status, seconds, bytes_read, bytes_written });
    },
    async stageTotals() {
      return totals.all();
    },
    async boots() {
      return boots.all();
    },
    async oldestQueued() {
      return oldest.get()?.since ?? null;
    },
  };
}
