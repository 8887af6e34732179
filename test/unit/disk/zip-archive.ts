import { crc32, deflateRawSync } from 'node:zlib';

export interface ZipEntry {
  name: string;
  content: Buffer;
  /** Default: deflate. */
  stored?: boolean;
  /** Of Unix, with the file's type. */
  mode?: number;
  flags?: number;
  /** Sizes and place in ZIP64 fields. */
  is64?: boolean;
}

/** A ZIP archive by PKWARE's APPNOTE, as small as it may be. */
export function zipOf(entries: readonly ZipEntry[], { is64 = false } = {}): Buffer {
  const parts: Buffer[] = [];
  const central: Buffer[] = [];
  let at = 0;
  for (const { name, content, stored = false, mode = 0o100644, flags = 0, is64: big = false } of entries) {
    const data = stored ? content : deflateRawSync(content);
    const title = Buffer.from(name);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(flags, 2);
    common.writeUInt16LE(stored ? 0 : 8, 4);
    common.writeUInt32LE(crc32(content), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(content.length, 18);
    common.writeUInt16LE(title.length, 22);
    const extra = big ? field64([content.length, data.length, at]) : Buffer.alloc(0);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry[5] = 3;
    common.copy(entry, 6);
    entry.writeUInt16LE(extra.length, 30);
    entry.writeUInt32LE((mode << 16) >>> 0, 38);
    entry.writeUInt32LE(at, 42);
    if (big) for (const field of [20, 24, 42]) entry.writeUInt32LE(0xffff_ffff, field);
    central.push(entry, title, extra);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, title, data]);
    parts.push(local);
    at += local.length;
  }
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt32LE(is64 ? 0xffff_ffff : directory.length, 12);
  end.writeUInt32LE(is64 ? 0xffff_ffff : at, 16);
  return Buffer.concat([...parts, directory, ...(is64 ? [end64(at, directory.length)] : []), end]);
}

function field64(values: readonly number[]): Buffer {
  const field = Buffer.alloc(4 + 8 * values.length);
  field.writeUInt16LE(1, 0);
  field.writeUInt16LE(8 * values.length, 2);
  for (const [index, value] of values.entries()) field.writeBigUInt64LE(BigInt(value), 4 + 8 * index);
  return field;
}

function end64(at: number, size: number): Buffer {
  const end = Buffer.alloc(56);
  end.writeUInt32LE(0x06064b50, 0);
  end.writeBigUInt64LE(BigInt(size), 40);
  end.writeBigUInt64LE(BigInt(at), 48);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.writeBigUInt64LE(BigInt(at + size), 8);
  return Buffer.concat([end, locator]);
}
