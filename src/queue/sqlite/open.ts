import Database from 'better-sqlite3';

export type Sqlite = Database.Database;

/** Never emptied, see `openSqlite`. The daemon opens two or three. */
const opened: { database: Sqlite; statements: Map<string, Database.Statement> }[] = [];

/**
 * Opens a database whose `prepare` returns the same statement for the same text, so that statements are never
 * garbage-collected: on Node 24.19 and later, the finalizer of better-sqlite3 12 aborted the process when the
 * collector ran between two microtasks (nodejs/node#65446), and 13 has not been shown to be free of it.
 * Therefore `pragma()`, which prepares internally, and `iterate()` must not be used, nor `pluck()` and the
 * like, which would change the shared statement.
 */
export function openSqlite(file: string, options: Database.Options): Sqlite {
  const database = new Database(file, options);
  const statements = new Map<string, Database.Statement>();
  opened.push({ database, statements });
  const prepare = database.prepare.bind(database) as (sql: string) => Database.Statement;
  database.prepare = ((sql: string) => {
    const statement = statements.get(sql) ?? prepare(sql);
    statements.set(sql, statement);
    return statement;
  }) as Sqlite['prepare'];
  return database;
}
