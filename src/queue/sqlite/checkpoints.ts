import type { Checkpoint, StageRecord } from '../../model/stage-record.js';
import { held } from '../job-changes.js';
import type { Checkpoints, KeptCheckpoints } from '../store.js';
import type { JobTable } from './jobs.js';
import type { Sqlite } from './open.js';

interface CheckpointRow {
  stage: string;
  id: string;
  output: string;
  record: string;
  timestamp: string;
}

/** The table itself, for code that changes a job and its checkpoints in one transaction. */
export interface SqliteCheckpoints {
  load(job: string): Checkpoint[];
  save(job: string, checkpoint: Checkpoint): void;
  truncate(job: string, stage: string): void;
  /** Records that the job failed because of the stage's output. Does nothing without a checkpoint. */
  refuse(job: string, record: StageRecord): void;
  keep(job: string, kept: KeptCheckpoints): void;
}

export function checkpointTable(database: Sqlite): SqliteCheckpoints {
  const all = database.prepare<[string], CheckpointRow>(
    'SELECT stage, id, output, record, timestamp FROM checkpoints WHERE job = ? ORDER BY position',
  );
  const insert = database.prepare(
    `INSERT INTO checkpoints (job, position, stage, id, output, record, timestamp)
     VALUES (@job, (SELECT coalesce(max(position), 0) + 1 FROM checkpoints WHERE job = @job),
             @stage, @id, @output, @record, @timestamp)`,
  );
  const remove = database.prepare(
    `DELETE FROM checkpoints WHERE job = @job
     AND position >= (SELECT position FROM checkpoints WHERE job = @job AND stage = @stage)`,
  );
  const refuse = database.prepare(
    'UPDATE checkpoints SET record = @record WHERE job = @job AND stage = @stage',
  );
  const empty = database.prepare<[string]>("UPDATE checkpoints SET output = 'null' WHERE job = ?");
  const removeAll = database.prepare<[string]>('DELETE FROM checkpoints WHERE job = ?');
  return {
    load: (job) => all.all(job).map(checkpointOf),
    save(job, { stage, id, output, record, timestamp }) {
      const texts = { output: JSON.stringify(output ?? null), record: JSON.stringify(record) };
      insert.run({ job, stage, id, timestamp, ...texts });
    },
    truncate: (job, stage) => void remove.run({ job, stage }),
    refuse: (job, record) => void refuse.run({ job, stage: record.stage, record: JSON.stringify(record) }),
    keep(job, kept) {
      if (kept === 'records') empty.run(job);
      if (kept === 'none') removeAll.run(job);
    },
  };
}

export function sqliteCheckpoints(database: Sqlite, jobs: JobTable, table: SqliteCheckpoints): Checkpoints {
  return {
    async load(job) {
      return table.load(job);
    },
    save: async (lease, checkpoint) =>
      database.transaction(() => table.save(held(jobs.get(lease.job), lease).job, checkpoint))(),
    truncate: async (lease, stage) =>
      database.transaction(() => table.truncate(held(jobs.get(lease.job), lease).job, stage))(),
  };
}

function checkpointOf(row: CheckpointRow): Checkpoint {
  return {
    stage: row.stage,
    id: row.id,
    output: JSON.parse(row.output) as unknown,
    record: JSON.parse(row.record) as StageRecord,
    timestamp: row.timestamp,
  };
}
