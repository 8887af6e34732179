import childProcess from 'node:child_process';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { constants } from 'node:os';
import Database from 'better-sqlite3';
import { openSqlite } from '#hyper2kvm/queue/sqlite/open.js';
import { type Errno, FAULT_MESSAGE, FAULT_VARIABLE, type FaultPlan } from './fault-plan.ts';

/**
 * Loaded into a daemon with `node --import` by the fault campaign, never by the product: makes one call of
 * node:fs, better-sqlite3 or child_process fail, or the process die around it, as the plan in HYPER2KVM_FAULT
 * says. Patched at their one place each, so that production code has no hooks.
 */
type Call = (...args: never[]) => unknown;
/** Where methods hang; a class's prototype or a module. */
type Owner = Record<string, unknown>;

const plan = JSON.parse(process.env[FAULT_VARIABLE] ?? 'null') as FaultPlan | null;
const { writeSync } = fs;
let calls = 0;

/** SQLite's result codes for the same conditions (sqlite.org/rescode.html). */
const SQLITE: Record<Errno, [code: string, message: string]> = {
  ENOSPC: ['SQLITE_FULL', 'database or disk is full'],
  EIO: ['SQLITE_IOERR_WRITE', 'disk I/O error'],
  EMFILE: ['SQLITE_CANTOPEN', 'unable to open database file'],
  EINTR: ['SQLITE_BUSY', 'database is locked'],
  EROFS: ['SQLITE_READONLY', 'attempt to write a readonly database'],
};

const FILE_CHANGES = [
  'chmod',
  'copyFile',
  'cp',
  'mkdir',
  'mkdtemp',
  'rename',
  'rm',
  'rmdir',
  'unlink',
  'writeFile',
];
const FILE_READS = ['access', 'lstat', 'open', 'readFile', 'readdir', 'stat', 'statfs'];
const HANDLE_CHANGES = ['sync', 'write', 'writeFile'];
const HANDLE_READS = ['read', 'stat'];
const SYNC_CHANGES = ['chmodSync', 'mkdirSync', 'openSync', 'rmSync'];
const STATEMENT_CALLS = ['all', 'get', 'iterate', 'run'];

if (plan !== null) await patch(plan);

async function patch(active: FaultPlan): Promise<void> {
  const isBelow = (path: unknown) =>
    (typeof path === 'string' || Buffer.isBuffer(path)) && path.toString().startsWith(active.under);
  const ownHandles = new WeakSet<object>();
  const promises = fs.promises as unknown as Owner;
  const probe = await fs.promises.open('/dev/null', 'r');
  const handle = Object.getPrototypeOf(probe) as Owner;
  await probe.close();

  for (const name of [...FILE_CHANGES, ...FILE_READS]) {
    wrap(promises, name, FILE_CHANGES.includes(name), (args) => isBelow(args[0]));
  }
  const open = promises.open as (...args: unknown[]) => Promise<object>;
  promises.open = async (...args: unknown[]) => {
    const opened = await open(...args);
    if (isBelow(args[0])) ownHandles.add(opened);
    return opened;
  };
  for (const name of [...HANDLE_CHANGES, ...HANDLE_READS]) {
    wrap(handle, name, HANDLE_CHANGES.includes(name), (_args, self) => ownHandles.has(self as object));
  }
  for (const name of SYNC_CHANGES) wrap(fs as unknown as Owner, name, true, (args) => isBelow(args[0]));
  wrap(childProcess as unknown as Owner, 'spawn', false, () => true, 'spawn');
  const database = openSqlite(':memory:', {});
  const statement = Object.getPrototypeOf(database.prepare('SELECT 1')) as Owner;
  database.close();
  for (const name of STATEMENT_CALLS) {
    wrap(statement, name, true, (_args, self) => changesDatabase(self as Database.Statement), 'database');
  }
  syncBuiltinESMExports();

  function wrap(
    owner: Owner,
    name: string,
    changes: boolean,
    counts: (args: unknown[], self: unknown) => boolean,
    group: 'file' | 'database' | 'spawn' = 'file',
  ): void {
    const original = owner[name] as Call;
    const isWanted = active.group === group || (active.group === 'change' && changes);
    if (!isWanted || (active.call ?? name) !== name) return;
    owner[name] = function (this: unknown, ...args: unknown[]) {
      if (!counts(args, this) || ++calls !== active.nth) return original.apply(this, args as never[]);
      const what = `${group} ${name} ${typeof args[0] === 'string' ? args[0] : ''}`.trim();
      return strike(active, what, group, () => original.apply(this, args as never[]));
    };
  }
}

function strike({ action, nth }: FaultPlan, call: string, group: string, proceed: () => unknown): unknown {
  writeSync(1, `${JSON.stringify({ msg: FAULT_MESSAGE, call, nth, action })}\n`);
  if (action === 'kill-before') return die();
  if (action === 'kill-after') {
    const result = proceed();
    return result instanceof Promise ? result.finally(die) : die();
  }
  if (group === 'database') {
    const [code, message] = SQLITE[action];
    throw new Database.SqliteError(message, code);
  }
  const error: NodeJS.ErrnoException = new Error(`${action}: injected, ${call}`);
  error.code = action;
  error.errno = -constants.errno[action as keyof typeof constants.errno];
  error.syscall = call;
  if (group === 'spawn' || /Sync /.test(call)) throw error;
  return Promise.reject(error);
}

/**
 * Questions are left out: how many there are depends on who asks. A COMMIT counts as reading
 * (sqlite3_stmt_readonly).
 */
function changesDatabase({ readonly, source }: Database.Statement): boolean {
  return !readonly || source === 'COMMIT';
}

function die(): void {
  process.kill(process.pid, 'SIGKILL');
}
