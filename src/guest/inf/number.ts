/** A number as INF files write it: decimal, or hexadecimal behind 0x; 32 bits. Null for other text. */
export function infNumber(text: string): number | null {
  const digits = text.trim();
  if (!/^(0x[\da-f]{1,8}|-?\d{1,10})$/i.test(digits)) return null;
  return Number(digits) >>> 0;
}
