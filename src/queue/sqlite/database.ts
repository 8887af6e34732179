import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { Hyper2kvmError } from '../../errors/error.js';
import { failpoint } from '../../host/failpoint.js';
import { MIGRATIONS } from './migrations/index.js';
import { openSqlite, type Sqlite } from './open.js';

/**
 * Opens the queue's database, creates it if missing, and migrates it to the current schema. Uses WAL with
 * `synchronous=FULL`: better-sqlite3 is built with NORMAL as the default for WAL, with which a power loss may
 * undo a commit that was reported as done. Errors: `queue.unusable`, `queue.newer-schema`.
 */
export function openDatabase(file: string): Sqlite {
  let database: Sqlite | undefined;
  try {
    if (file !== ':memory:') mkdirSync(dirname(file), { recursive: true, mode: 0o750 });
    database = openSqlite(file, { timeout: 5000 });
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON');
    migrate(database, MIGRATIONS, file);
    return database;
  } catch (cause) {
    database?.close();
    if (cause instanceof Hyper2kvmError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Hyper2kvmError('queue.unusable', `the queue ${file} cannot be opened: ${why}`, {
      cause,
    });
  }
}

/**
 * Migrates the schema from its `user_version` to the newest, completely or not at all. A newer schema is
 * refused, because an older daemon would not know its rules.
 */
export function migrate(database: Sqlite, migrations: readonly string[], file: string): void {
  const version = () =>
    database.prepare<[], { user_version: number }>('PRAGMA user_version').get()!.user_version;
  const upgrade = database.transaction(() => {
    // Read again under the lock: another process may have been first.
    const from = version();
    for (const sql of migrations.slice(from)) database.exec(sql);
    if (from < migrations.length) database.exec(`PRAGMA user_version = ${migrations.length}`);
    failpoint('migrate.before-commit');
  });
  if (version() < migrations.length) upgrade.immediate();
  if (version() <= migrations.length) return;
  throw new Hyper2kvmError(
    'queue.newer-schema',
    `${file} was made by a newer hyper2kvm (schema ${version()}, this version supports ${migrations.length})`,
  );
}
