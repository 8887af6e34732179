/**
 * The first four records of an $MFT, after the Linux-NTFS documentation: that of $Volume has its standard
 * information, its name and its information attribute with `flags`.
 */
export function masterFileTable({
  flags,
  recordBytes = 1024,
}: {
  flags: number;
  recordBytes?: number;
}): Buffer {
  const table = Buffer.alloc(4 * recordBytes);
  for (let at = 0; at < table.length; at += recordBytes) {
    table.write('FILE', at);
    table.writeUInt16LE(0x38, at + 0x14);
    table.writeUInt32LE(recordBytes, at + 0x1c);
    table.writeUInt32LE(0xffff_ffff, at + 0x38);
  }
  let at = 3 * recordBytes + 0x38;
  for (const [type, value] of [
    [0x10, Buffer.alloc(72)],
    [0x60, Buffer.from('System', 'utf16le')],
    [0x70, Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 3, 1, flags & 0xff, flags >> 8])],
  ] as const) {
    const size = Math.ceil((0x18 + value.length) / 8) * 8;
    table.writeUInt32LE(type, at);
    table.writeUInt32LE(size, at + 4);
    table.writeUInt32LE(value.length, at + 0x10);
    table.writeUInt16LE(0x18, at + 0x14);
    value.copy(table, at + 0x18);
    at += size;
  }
  table.writeUInt32LE(0xffff_ffff, at);
  return table;
}

/** The restart pages of a $LogFile, after ntfs-3g's logfile.h. */
export function logFile(pages: readonly { lsn: bigint; client: number; flags: number }[]): Buffer {
  const log = Buffer.alloc(8192);
  for (const [index, { lsn, client, flags }] of pages.entries()) {
    const at = index * 4096;
    log.write('RSTR', at);
    log.writeUInt32LE(4096, at + 0x10);
    log.writeUInt16LE(0x30, at + 0x18);
    log.writeBigUInt64LE(lsn, at + 0x30);
    log.writeUInt16LE(1, at + 0x38);
    log.writeUInt16LE(0xffff, at + 0x3a);
    log.writeUInt16LE(client, at + 0x3c);
    log.writeUInt16LE(flags, at + 0x3e);
  }
  return log;
}
