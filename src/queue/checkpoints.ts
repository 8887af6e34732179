import type { CheckpointStore } from '../engine/types.js';
import type { Checkpoint, StageRecord } from '../model/stage-record.js';
import type { Sqlite } from './database.js';

interface CheckpointRow {
  stage: string;
  id: string;
  output: string;
  record: string;
  timestamp: string;
}

export interface JobCheckpoints extends CheckpointStore {
  /** The job failed by the stage's output, as `record` says. Nothing without a checkpoint of it. */
  refuse(record: StageRecord): void;
}

/** One job's checkpoints in the queue's database. `save` is durable when it returns. */
export function checkpointStore(database: Sqlite, job: string): JobCheckpoints {
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
  return {
    load: () => all.all(job).map(checkpointOf),
    save({ stage, id, output, record, timestamp }) {
      insert.run({
        job,
        stage,
        id,
        output: JSON.stringify(output ?? null),
        record: JSON.stringify(record),
        timestamp,
      });
    },
    refuse(record) {
      refuse.run({ job, stage: record.stage, record: JSON.stringify(record) });
    },
    truncate(stage) {
      remove.run({ job, stage });
    },
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
