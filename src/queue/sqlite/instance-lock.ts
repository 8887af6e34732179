import { closeSync, constants, existsSync, fstatSync, openSync, readFileSync } from 'node:fs';
import Database from 'better-sqlite3';
import koffi from 'koffi';
import { Hyper2kvmError } from '../../errors/error.js';
import { openSqlite } from './open.js';

/**
 * Takes a lock that the kernel releases when its process dies, however it dies: a SQLite file kept under
 * BEGIN IMMEDIATE. Unlike a file with a pid, it cannot be stale and is not affected by reused pids, yet
 * others can read who holds it. Errors: `daemon.already-running`, which names the holder.
 */
export function lockInstance(file: string, purpose: string): { release(): void } {
  const database = openSqlite(file, { timeout: 0 });
  try {
    // With a timeout of 0 s, a lock held by another process is an immediate error.
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
    throw alreadyRunning(purpose, holder);
  }
  return { release: () => void database.close() };
}

function describeHolder(file: string): string {
  if (!existsSync(file)) return '';
  const database = openSqlite(file, { readonly: true, timeout: 1000 });
  try {
    const row = database.prepare<[], { pid: number; since: string }>('SELECT pid, since FROM holder').get();
    return row === undefined ? '' : `: process ${row.pid}, since ${row.since}`;
  } finally {
    database.close();
  }
}

/** flock(2), linux/fcntl.h. */
const LOCK_EX_NB = 2 | 4;
const EWOULDBLOCK = 11;

/**
 * Locks a directory by flock(2), without creating a file in it. `unsupported` if its filesystem has no such
 * locks (some network filesystems). Errors: `daemon.already-running`, which names the holder's process.
 */
export function lockDirectory(directory: string): { release(): void } | 'unsupported' {
  const flock = koffi.load('libc.so.6').func('int flock(int fd, int operation)');
  const descriptor = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  if (flock(descriptor, LOCK_EX_NB) === 0) return { release: () => closeSync(descriptor) };
  const errno = koffi.errno();
  const { dev, ino } = fstatSync(descriptor);
  closeSync(descriptor);
  if (errno !== EWOULDBLOCK) return 'unsupported';
  throw alreadyRunning(directory, flockHolder(dev, ino));
}

/**
 * Returns the holder from proc_locks(5): `1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF`,
 * device numbers in hexadecimal.
 */
function flockHolder(device: number, inode: number): string {
  const major = (device >> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  const hex = (value: number) => value.toString(16).padStart(2, '0');
  const place = `${hex(major)}:${hex(minor)}:${inode}`;
  const line = readFileSync('/proc/locks', 'utf8')
    .split('\n')
    .find((text) => text.includes(' FLOCK ') && text.includes(` ${place} `));
  const pid = line?.trim().split(/\s+/)[4];
  return pid === undefined ? '' : `: process ${pid}`;
}

function alreadyRunning(purpose: string, holder: string): Hyper2kvmError {
  return new Hyper2kvmError('daemon.already-running', `another daemon is already using ${purpose}${holder}`);
}
