import { isDeepStrictEqual } from 'node:util';
import type { UndoRecord } from '../../../../src/model/undo.js';
import type { UndoBook, Undoing } from '../../../../src/sources/remote/transports/base/undoing.js';

/** What the queue keeps of what was made elsewhere. */
export class TestBook implements UndoBook {
  records: (UndoRecord & { job: string })[] = [];

  async all() {
    return this.records;
  }

  async add(job: string, records: readonly UndoRecord[]): Promise<void> {
    const rows = records.map((record) => ({ ...record, job }));
    this.records.push(...rows.filter((row) => !this.records.some((one) => isDeepStrictEqual(one, row))));
  }

  async remove(job: string, records: readonly UndoRecord[]): Promise<void> {
    this.records = this.records.filter(
      (row) => !records.some((record) => isDeepStrictEqual({ ...record, job }, row)),
    );
  }
}

/** Of a landing that makes nothing elsewhere. */
export const NOTHING: Undoing = {
  job: 'job1',
  known: [],
  record: async () => {},
  forget: async () => {},
  isKept: false,
};
