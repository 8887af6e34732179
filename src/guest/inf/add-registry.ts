import { REG } from '../registry/value.js';
import type { InfLine } from './line.js';
import { infNumber } from './number.js';

/** One line of an AddReg section. */
export interface InfRegistry {
  /** HKR is the service, or the device, that the section belongs to. */
  root: string;
  /** Below the root, without a backslash at its ends; empty for the root itself. */
  key: string;
  /** Null: only the key is made. Empty: its default value. */
  name: string | null;
  type: number;
  data: Buffer;
  /** `append`: to the texts of a REG_MULTI_SZ; `keep`: only where there is no such value. */
  mode: 'set' | 'keep' | 'append' | 'overwrite' | 'delete';
}

const FLAG = { binary: 0x1, keep: 0x2, delete: 0x4, append: 0x8, keyOnly: 0x10, overwrite: 0x20 } as const;

/**
 * `root,[key],[name],[flags],[value…]` (Microsoft, "INF AddReg Directive"); null for a line without a root.
 */
export function registryOf({ key: before, fields }: InfLine): InfRegistry | null {
  const [root = '', key = '', name = '', flagText = '', ...values] = fields;
  if (before !== null || !/^HK(R|LM|CR|CU|U)$/i.test(root)) return null;
  const flags = infNumber(flagText) ?? 0;
  const type = typeOf(flags);
  return {
    root: root.toUpperCase(),
    key: key.replace(/^\\+|\\+$/g, ''),
    name: (flags & FLAG.keyOnly) !== 0 ? null : name,
    type,
    data: dataOf(type, values),
    mode: modeOf(flags),
  };
}

/** The high half is a type; with the lowest bit it is any of the registry's, without it one of the texts. */
function typeOf(flags: number): number {
  const high = flags >>> 16;
  if ((flags & FLAG.binary) === 0) return [REG.sz, REG.multiSz, REG.expandSz][high] ?? REG.sz;
  if (high === 0) return REG.binary;
  if (high === 1) return REG.dword;
  return high === 2 ? REG.none : high;
}

function modeOf(flags: number): InfRegistry['mode'] {
  if ((flags & FLAG.delete) !== 0) return 'delete';
  if ((flags & FLAG.append) !== 0) return 'append';
  if ((flags & FLAG.overwrite) !== 0) return 'overwrite';
  return (flags & FLAG.keep) !== 0 ? 'keep' : 'set';
}

function dataOf(type: number, values: readonly string[]): Buffer {
  if (type === REG.sz || type === REG.expandSz) return utf16([values[0] ?? '']);
  if (type === REG.multiSz) return utf16([...values.filter((value) => value !== ''), '']);
  // A DWORD is one number, or its four bytes.
  if (type === REG.dword && values.length <= 1) {
    const data = Buffer.alloc(4);
    data.writeUInt32LE(infNumber(values[0] ?? '') ?? 0);
    return data;
  }
  return Buffer.from(
    values.filter((value) => value !== '').map((value) => Number.parseInt(value, 16) & 0xff),
  );
}

const utf16 = (texts: readonly string[]): Buffer => Buffer.from(`${texts.join('\0')}\0`, 'utf16le');
