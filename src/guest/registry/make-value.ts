import type { CapturedValue } from './captured.js';
import { REG } from './value.js';

/** A value without its name, as plans and captured hives have it: `data` in hexadecimal. */
export type ValueData = Pick<CapturedValue, 'type' | 'data'>;

/** Returns a REG_DWORD. */
export function dwordData(number: number): ValueData {
  const data = Buffer.alloc(4);
  data.writeUInt32LE(number);
  return { type: REG.dword, data: data.toString('hex') };
}

/** Returns a REG_SZ, or a text of another type, with its NUL. */
export function textData(text: string, type: number = REG.sz): ValueData {
  return { type, data: utf16(`${text}\0`) };
}

/** Returns a REG_MULTI_SZ: each text with its NUL, and one more at the end. */
export function textsData(texts: readonly string[]): ValueData {
  return { type: REG.multiSz, data: utf16([...texts.map((text) => `${text}\0`), '\0'].join('')) };
}

const utf16 = (text: string): string => Buffer.from(text, 'utf16le').toString('hex');
