/** Types of values by their numbers in a hive. Real hives also have others: a value's type is any u32. */
export const REG = {
  none: 0,
  sz: 1,
  expandSz: 2,
  binary: 3,
  dword: 4,
  dwordBigEndian: 5,
  link: 6,
  multiSz: 7,
  qword: 11,
} as const;

/** A value of a key. */
export interface RegistryValue {
  /** Empty for the key's default value. */
  readonly name: string;
  readonly type: number;
  /** As it stands in the hive; a view of it unless it is larger than 16,344 bytes. */
  readonly data: Buffer;
}

/**
 * Text of REG_SZ, REG_EXPAND_SZ (not expanded) and REG_LINK up to its first NUL, which may be missing; null
 * for other types.
 */
export function textOf({ type, data }: RegistryValue): string | null {
  if (type !== REG.sz && type !== REG.expandSz && type !== REG.link) return null;
  const text = utf16(data);
  const end = text.indexOf('\0');
  return end === -1 ? text : text.slice(0, end);
}

/**
 * Texts of REG_MULTI_SZ up to the first empty one, as Windows reads it; of a REG_SZ or REG_EXPAND_SZ the one
 * text that is in it. Null for other types.
 */
export function textsOf(value: RegistryValue): string[] | null {
  if (value.type !== REG.multiSz) {
    const text = textOf(value);
    return text === null ? null : text === '' ? [] : [text];
  }
  const texts = utf16(value.data).split('\0');
  const end = texts.indexOf('');
  return end === -1 ? texts : texts.slice(0, end);
}

/**
 * Number of REG_DWORD (of either order) and REG_QWORD; null for other types and lengths. A REG_QWORD beyond
 * 2^53 loses its last digits.
 */
export function numberOf({ type, data }: RegistryValue): number | null {
  if (type === REG.dword && data.length === 4) return data.readUInt32LE(0);
  if (type === REG.dwordBigEndian && data.length === 4) return data.readUInt32BE(0);
  if (type === REG.qword && data.length === 8) return Number(data.readBigUInt64LE(0));
  return null;
}

/** An odd last byte is no character. */
function utf16(data: Buffer): string {
  return data.toString('utf16le', 0, data.length - (data.length % 2));
}
