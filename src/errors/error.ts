import { catalogueEntry, type ErrorCode } from './catalogue.js';
import { errorCode } from './errno.js';

interface ErrorOptions {
  /** In place of the catalogue's advice, if it depends on what only the thrower knows. */
  advice?: string | undefined;
  /** A sentence after the catalogue's advice, for example the names to choose from. */
  facts?: string;
  retryable?: boolean;
  errno?: number;
  cause?: unknown;
}

/**
 * The only error class. Codes are `<where>.<what>` and stable, because scripts rely on them; catalogue.ts
 * lists them all.
 */
export class Hyper2kvmError extends Error {
  override readonly name = 'Hyper2kvmError';
  readonly code: string;
  /** What the operator can do about it, in one or two sentences. */
  readonly advice: string;
  /** True for transient conditions (full disk, busy appliance): the runner retries with backoff. */
  readonly retryable: boolean;
  /** The errno(3) of the failed system call; null if there is none or it is unknown. */
  readonly errno: number | null;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.advice = [options.advice ?? catalogueEntry(code)?.advice, options.facts].filter(Boolean).join(' ');
    this.retryable = options.retryable ?? false;
    this.errno = options.errno ?? null;
  }

  /**
   * Returns an error whose code was determined elsewhere: in another process or thread, or by a third-party
   * stage.
   */
  static of(code: string, message: string, options: ErrorOptions = {}): Hyper2kvmError {
    return new Hyper2kvmError(code as ErrorCode, message, options);
  }
}

/** The JSON form that is stored in the queue, `reason.json` and `report.json`. */
export interface ErrorRecord {
  code: string;
  message: string;
  advice: string;
  retryable: boolean;
  /** Messages of the causes, outermost first. */
  causes: string[];
}

/**
 * Turns anything that was thrown into a record; all error text is built here. Unknown errors get
 * `internal.unexpected`.
 */
export function errorRecord(error: unknown): ErrorRecord {
  const causes: string[] = [];
  let cause = error instanceof Error ? error.cause : undefined;
  while (cause !== undefined && causes.length < 8) {
    causes.push(cause instanceof Error ? cause.message : String(cause));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  if (error instanceof Hyper2kvmError) {
    return {
      code: error.code,
      message: error.message,
      advice: error.advice,
      retryable: error.retryable,
      causes,
    };
  }
  const system = systemError(error);
  if (system) return { ...system, causes };
  const message = error instanceof Error ? error.message : String(error);
  return {
    code: 'internal.unexpected',
    message,
    advice: catalogueEntry('internal.unexpected')?.advice ?? '',
    retryable: false,
    causes,
  };
}

/** True if a disk or quota is full. */
export function isFullDisk({ code }: ErrorRecord): boolean {
  return code === 'host.enospc' || code === 'host.edquot';
}

const RETRYABLE_ERRNO = new Set([
  'ENOSPC',
  'EDQUOT',
  'EMFILE',
  'ENFILE',
  'EAGAIN',
  'ENOMEM',
  'EINTR',
  'EBUSY',
]);

const SQLITE_ERRNO: readonly [code: string, errno: string][] = [
  ['SQLITE_FULL', 'ENOSPC'],
  ['SQLITE_IOERR', 'EIO'],
  ['SQLITE_CANTOPEN', 'EMFILE'],
  ['SQLITE_BUSY', 'EBUSY'],
  ['SQLITE_NOMEM', 'ENOMEM'],
  ['SQLITE_READONLY', 'EROFS'],
];

function systemError(error: unknown): Omit<ErrorRecord, 'causes'> | undefined {
  const code = errorCode(error);
  if (code === undefined || !(error instanceof Error)) return undefined;
  const errno = /^E[A-Z0-9]+$/.test(code) ? code : sqliteErrno(code);
  if (errno === undefined) return undefined;
  const known = `host.${errno.toLowerCase()}`;
  return {
    code: known,
    message: error.message,
    advice: catalogueEntry(known)?.advice ?? '',
    retryable: RETRYABLE_ERRNO.has(errno),
  };
}

/**
 * Returns the condition behind SQLite's result code (sqlite.org/rescode.html; extended codes begin with the
 * primary one).
 */
function sqliteErrno(code: string): string | undefined {
  return SQLITE_ERRNO.find(([primary]) => code === primary || code.startsWith(`${primary}_`))?.[1];
}
