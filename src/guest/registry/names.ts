/**
 * A name as Windows compares it: each UTF-16 unit by itself in upper case (RtlUpcaseUnicodeChar). A unit has
 * an upper case where Unicode gives it one of the same length that leads back to it: `ß`, `ı` and `ſ` keep
 * theirs. That is Windows 10's table but for 225 units that Unicode got later, or that stand for Greek with
 * an iota below: no name of Windows has those.
 */
export function upperCase(name: string): string {
  if (ASCII.test(name)) return name.toUpperCase();
  let upper = '';
  for (let index = 0; index < name.length; index += 1) upper += upperUnit(name.charAt(index));
  return upper;
}

const ASCII = /^[\0-\x7f]*$/;

function upperUnit(unit: string): string {
  const upper = unit.toUpperCase();
  return upper.length === 1 && upper.toLowerCase() === unit ? upper : unit;
}

/** Names are 1 byte (the first 256 of Unicode) or 2 bytes a character. */
export function decodeName(bytes: Buffer, isCompressed: boolean): string {
  return bytes.toString(isCompressed ? 'latin1' : 'utf16le');
}
