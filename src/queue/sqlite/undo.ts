import type { UndoRecord } from '../../model/undo.js';
import type { UndoRecords } from '../store.js';
import type { Sqlite } from './open.js';

type Row = UndoRecord & { job: string };

export function sqliteUndo(database: Sqlite): UndoRecords {
  const insert = database.prepare<[Row]>(
    `INSERT INTO undo_records (job, connection, what, target) VALUES (@job, @connection, @what, @target)
     ON CONFLICT DO NOTHING`,
  );
  const remove = database.prepare<[Row]>(
    `DELETE FROM undo_records
     WHERE job = @job AND connection = @connection AND what = @what AND target = @target`,
  );
  const all = database.prepare<[], Row>('SELECT job, connection, what, target FROM undo_records ORDER BY id');
  const each = database.transaction((rows: readonly Row[], run: (row: Row) => unknown) => {
    for (const row of rows) run(row);
  });
  return {
    async add(job, records) {
      each(
        records.map((record) => ({ ...record, job })),
        (row) => insert.run(row),
      );
    },
    async remove(job, records) {
      each(
        records.map((record) => ({ ...record, job })),
        (row) => remove.run(row),
      );
    },
    async all() {
      return all.all();
    },
  };
}
