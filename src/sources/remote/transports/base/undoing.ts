import type { UndoRecord } from '../../../../model/undo.js';

/** Where it is written down what was made elsewhere: the queue (queue/store.ts). */
export interface UndoBook {
  all(): Promise<(UndoRecord & { job: string })[]>;
  /** It is durable when this resolves. */
  add(job: string, records: readonly UndoRecord[]): Promise<void>;
  remove(job: string, records: readonly UndoRecord[]): Promise<void>;
}

/** What a transport tells of what it makes elsewhere for a job. */
export interface Undoing {
  /** The job's id, of which the names of what is made are formed: `hyper2kvm-<job>`. */
  job: string;
  /** What earlier attempts have made, or were about to. */
  known: readonly UndoRecord[];
  /** Resolves when it is durable that these have to be undone. If it rejects, nothing may be made. */
  record(records: readonly UndoRecord[]): Promise<void>;
  /** These are undone, or were not made. */
  forget(records: readonly UndoRecord[]): Promise<void>;
  /** Whether a later attempt will know of them. */
  isKept: boolean;
}

export async function undoingOf(job: string, book: UndoBook | null): Promise<Undoing> {
  if (book === null) return { job, known: [], record: async () => {}, forget: async () => {}, isKept: false };
  return {
    job,
    known: (await book.all()).filter((one) => one.job === job).map(({ job: _, ...record }) => record),
    record: (records) => book.add(job, records),
    forget: (records) => book.remove(job, records),
    isKept: true,
  };
}

export function isSameRecord(a: UndoRecord, b: UndoRecord): boolean {
  return a.connection === b.connection && a.what === b.what && a.target === b.target;
}
