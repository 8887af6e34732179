import { existsSync } from 'node:fs';
import Database from 'better-sqlite3';
import { Hyper2kvmError } from '../errors.js';

/**
 * A lock that the kernel takes back when its process dies, however it dies: a SQLite file kept under BEGIN IMMEDIATE. Unlike a file with a pid it cannot be
 * stale and is not fooled by pids that are used again; others may still read who holds it. Errors: `daemon.already-running`, which names the holder.
 */
export function lockInstance(file: string, purpose: string): { release(): void } {
  const database = new Database(file, { timeout: 0 });
  try {
    // The wait of 0 s turns "somebody has it" into an error at once.
    database.exec('BEGIN IMMEDIATE');
    database.exec('CREATE TABLE IF NOT EXISTS holder (pid INTEGER, since TEXT, purpose TEXT) STRICT');
    database.exec('DELETE FROM holder');
    database
      .prepare('INSERT INTO holder VALUES (?, ?, ?)')
      .run(process.pid, new Date().toISOString(), purpose);
    // Committed so that a second daemon can read it; then the lock is taken for good.
    database.exec('COMMIT');
    database.exec('BEGIN IMMEDIATE');
  } catch (cause) {
    const busy = cause instanceof Database.SqliteError && cause.code.startsWith('SQLITE_BUSY');
    const holder = busy ? describeHolder(file) : '';
    database.close();
    if (!busy) throw cause;
    throw new Hyper2kvmError('daemon.already-running', `another daemon works on ${purpose}${holder}`, {
      advice: 'Stop that one first (`systemctl stop hyper2kvm`), or give this one its own directories.',
      cause,
    });
  }
  return { release: () => void database.close() };
}

function describeHolder(file: string): string {
  if (!existsSync(file)) return '';
  const database = new Database(file, { readonly: true, timeout: 1000 });
  try {
    const row = database.prepare<[], { pid: number; since: string }>('SELECT pid, since FROM holder').get();
    return row === undefined ? '' : `: process ${row.pid}, since ${row.since}`;
  } finally {
    database.close();
  }
}
