/**
 * Whether an NTFS volume was left in order, from the first bytes of its $MFT and of its $LogFile (which
 * ntfs-3g shows with `show_sys_files`). Layouts: the Linux-NTFS documentation, and ntfs-3g's layout.h and
 * logfile.h. What is damaged counts as unknown: null.
 */

/** Enough for the record of $Volume, which is the fourth, with records of up to 4096 bytes. */
export const MFT_HEAD_BYTES = 16_384;
/** The two restart pages. */
export const LOG_HEAD_BYTES = 8_192;

const VOLUME_RECORD = 3;
const VOLUME_INFORMATION = 0x70;
const END = 0xffff_ffff;
const DIRTY = 0x0001;

/** Returns the volume's dirty flag, for which Windows runs chkdsk at its next start. */
export function isVolumeDirty(mft: Buffer): boolean | null {
  if (mft.length < 0x20 || mft.toString('latin1', 0, 4) !== 'FILE') return null;
  const recordBytes = mft.readUInt32LE(0x1c);
  if (recordBytes < 0x100 || recordBytes > 4096) return null;
  const record = mft.subarray(VOLUME_RECORD * recordBytes, (VOLUME_RECORD + 1) * recordBytes);
  if (record.length < recordBytes || record.toString('latin1', 0, 4) !== 'FILE') return null;
  let at = record.readUInt16LE(0x14);
  while (at + 0x18 <= record.length && record.readUInt32LE(at) !== END) {
    const size = record.readUInt32LE(at + 4);
    if (size < 0x18) return null;
    if (record.readUInt32LE(at) === VOLUME_INFORMATION) {
      const value = at + record.readUInt16LE(at + 0x14);
      // Eight unused bytes and the version come first.
      return value + 12 > record.length ? null : (record.readUInt16LE(value + 10) & DIRTY) !== 0;
    }
    at += size;
  }
  return null;
}

const NO_CLIENT = 0xffff;
const VOLUME_IS_CLEAN = 0x0002;

/** Returns whether the journal holds nothing to be replayed; an empty one (all 0xff) does not. */
export function isJournalClean(log: Buffer): boolean | null {
  const pages = [restartArea(log, 0)];
  if (log.length >= 20) pages.push(restartArea(log, log.readUInt32LE(16)));
  const [latest] = pages
    .filter((page) => page !== null)
    .sort((a, b) => (a.lsn < b.lsn ? 1 : a.lsn > b.lsn ? -1 : 0));
  if (latest === undefined) return log.length > 0 && log.every((byte) => byte === 0xff) ? true : null;
  return latest.clientInUse === NO_CLIENT || (latest.flags & VOLUME_IS_CLEAN) !== 0;
}

function restartArea(log: Buffer, page: number): { lsn: bigint; clientInUse: number; flags: number } | null {
  if (page + 0x1a > log.length || log.toString('latin1', page, page + 4) !== 'RSTR') return null;
  const at = page + log.readUInt16LE(page + 0x18);
  if (at + 0x10 > log.length) return null;
  return {
    lsn: log.readBigUInt64LE(at),
    clientInUse: log.readUInt16LE(at + 0x0c),
    flags: log.readUInt16LE(at + 0x0e),
  };
}
