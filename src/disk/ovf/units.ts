/**
 * Names of units of bytes: CIM's (DSP0004, annex C.1) and those that exporters use. All of them mean powers of two;
 * what CIM calls a megabyte, a million, no exporter writes.
 */
const NAMES: Readonly<Record<string, number>> = {
  byte: 0,
  bytes: 0,
  kb: 10,
  kib: 10,
  kibibyte: 10,
  kilobyte: 10,
  kilobytes: 10,
  mb: 20,
  mib: 20,
  mebibyte: 20,
  megabyte: 20,
  megabytes: 20,
  gb: 30,
  gib: 30,
  gibibyte: 30,
  gigabyte: 30,
  gigabytes: 30,
  tb: 40,
  tib: 40,
  tebibyte: 40,
  terabyte: 40,
  terabytes: 40,
};

/**
 * Returns the number of bytes in a unit: `byte * 2^20`, `byte*10^6`, `KiloBytes`. Null if it is not a unit of
 * bytes.
 */
export function bytesPerUnit(units: string): number | null {
  const [name = '', ...factors] = units
    .toLowerCase()
    .split('*')
    .map((part) => part.trim());
  const power = Object.hasOwn(NAMES, name) ? NAMES[name]! : null;
  if (power === null) return null;
  let bytes = 2 ** power;
  for (const factor of factors) {
    const [, base, exponent = '1'] = /^(\d{1,10})(?:\s*\^\s*(\d{1,2}))?$/.exec(factor) ?? [];
    if (base === undefined) return null;
    bytes *= Number(base) ** Number(exponent);
  }
  return bytes;
}
