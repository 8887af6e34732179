import { closeSync, openSync, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/**
 * One record of a log of writes; sectors are of 512 bytes. `dataAt`: its bytes in the log file; null where it
 * has none (a flush, a discard).
 */
export interface WriteRecord {
  sector: number;
  sectors: number;
  isFlush: boolean;
  isDiscard: boolean;
  dataAt: number | null;
}

const SECTOR_BYTES = 512;
/** "jfswshr" backwards in ASCII, little-endian, as Linux' log-writes.rst has it. */
const MAGIC = 0x6a736677736872n;
const FLUSH = 1n;
const FUA = 2n;
const DISCARD = 4n;

/**
 * How many records a log holds by now. The log is that of dm-log-writes (Linux:
 * Documentation/admin-guide/device-mapper/log-writes.rst), as QEMU's `blklogwrites` writes it with sectors of
 * 512 bytes: a super block (magic, version, records, sector size), then records of one sector (sector,
 * sectors, flags, length of inline data) with their data behind them. All numbers are little-endian.
 */
export function recordCount(file: string): number {
  const descriptor = openSync(file, 'r');
  try {
    const head = Buffer.alloc(24);
    readSync(descriptor, head, 0, head.length, 0);
    if (head.readBigUInt64LE(0) !== MAGIC) return 0;
    return Number(head.readBigUInt64LE(16));
  } finally {
    closeSync(descriptor);
  }
}

export async function readRecords(file: string): Promise<WriteRecord[]> {
  const count = recordCount(file);
  const log = await open(file, 'r');
  try {
    const records: WriteRecord[] = [];
    const head = Buffer.alloc(32);
    let at = SECTOR_BYTES;
    while (records.length < count) {
      await log.read(head, 0, head.length, at);
      const [sector, sectors, flags] = [0, 8, 16].map((offset) => head.readBigUInt64LE(offset)) as [
        bigint,
        bigint,
        bigint,
      ];
      const isDiscard = (flags & DISCARD) !== 0n;
      const hasData = !isDiscard && sectors > 0n;
      at += SECTOR_BYTES;
      records.push({
        sector: Number(sector),
        sectors: Number(sectors),
        isFlush: (flags & (FLUSH | FUA)) !== 0n,
        isDiscard,
        dataAt: hasData ? at : null,
      });
      if (hasData) at += Number(sectors) * SECTOR_BYTES;
    }
    return records;
  } finally {
    await log.close();
  }
}

/** Writes what a record wrote, onto another disk. */
export async function replay(record: WriteRecord, log: FileHandle, disk: FileHandle): Promise<void> {
  if (record.sectors === 0) return;
  const data = Buffer.alloc(record.sectors * SECTOR_BYTES);
  if (record.dataAt !== null) await log.read(data, 0, data.length, record.dataAt);
  await disk.write(data, 0, data.length, record.sector * SECTOR_BYTES);
}
