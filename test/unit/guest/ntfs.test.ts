import { describe, expect, it } from 'vitest';
import { isJournalClean, isVolumeDirty } from '../../../src/guest/ntfs.js';
import { logFile, masterFileTable } from './make-ntfs.js';

describe('the dirty flag of a volume', () => {
  it.each([1024, 4096])('is read with records of %d bytes', (recordBytes) => {
    expect(isVolumeDirty(masterFileTable({ flags: 0x0001, recordBytes }))).toBe(true);
    // Other flags: resize the journal, upgrade on mount, chkdsk's own.
    expect(isVolumeDirty(masterFileTable({ flags: 0xc00e, recordBytes }))).toBe(false);
  });

  it('is unknown where the table is damaged, cut off or another file', () => {
    const table = masterFileTable({ flags: 1 });
    const [noRecord, noEnd] = [Buffer.from(table), Buffer.from(table)];
    noRecord.write('BAAD', 3 * 1024);
    noEnd.writeUInt32LE(0, 3 * 1024 + 0x38 + 4);
    const far = Buffer.from(table);
    far.writeUInt16LE(0xffff, 3 * 1024 + 0x14);
    for (const damaged of [
      Buffer.alloc(0),
      Buffer.alloc(16_384),
      table.subarray(0, 3500),
      noRecord,
      noEnd,
      far,
    ])
      expect(isVolumeDirty(damaged)).toBeNull();
  });
});

describe('a journal', () => {
  it('is clean without a client, or if the volume was unmounted', () => {
    expect(isJournalClean(logFile([{ lsn: 5n, client: 0xffff, flags: 0 }]))).toBe(true);
    expect(isJournalClean(logFile([{ lsn: 5n, client: 0, flags: 2 }]))).toBe(true);
  });

  it('is not clean otherwise, by the later of its two restart pages', () => {
    const [open, closed] = [
      { client: 0, flags: 0 },
      { client: 0xffff, flags: 0 },
    ];
    expect(isJournalClean(logFile([{ lsn: 5n, ...open }]))).toBe(false);
    expect(
      isJournalClean(
        logFile([
          { lsn: 5n, ...closed },
          { lsn: 6n, ...open },
        ]),
      ),
    ).toBe(false);
    expect(
      isJournalClean(
        logFile([
          { lsn: 7n, ...closed },
          { lsn: 6n, ...open },
        ]),
      ),
    ).toBe(true);
  });

  it('is clean where it was never used, as mkntfs makes it, and unknown where it is damaged', () => {
    expect(isJournalClean(Buffer.alloc(8192, 0xff))).toBe(true);
    expect(isJournalClean(Buffer.alloc(8192))).toBeNull();
    expect(isJournalClean(Buffer.alloc(0))).toBeNull();
    expect(isJournalClean(logFile([{ lsn: 5n, client: 0, flags: 0 }]).subarray(0, 0x3f))).toBeNull();
  });
});
