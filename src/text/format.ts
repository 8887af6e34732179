/**
 * Numbers for people. Bytes in binary units as the disk tools print them, rates in decimal MB/s as the
 * storage ones do.
 */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** 1536 → `1.5 KiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** 0.42 → `0.4 s`, 75 → `1 min 15 s`, 7500 → `2 h 5 min`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** Bytes per second → MB/s with three significant digits. */
export function formatRate(bytesPerSecond: number): string {
  const megabytes = bytesPerSecond / 1e6;
  return megabytes >= 100 ? String(Math.round(megabytes)) : megabytes.toFixed(1);
}

/** `2026-05-04T10:11:12.345Z` → `2026-05-04 10:11:12 UTC`; anything else unchanged. */
export function formatTime(iso: string): string {
  return iso.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z$/, '$1 $2 UTC');
}

/** `2026-05-04T10:11:12.345Z` → `2026-05-04 10:11 UTC`; anything else unchanged. */
export function formatMinute(iso: string): string {
  return iso.replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\d(\.\d+)?Z$/, '$1 $2 UTC');
}

/** `1 change`, `2 changes`. */
export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** Returns a word quoted for a POSIX shell if necessary. */
export function shellWord(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Returns a boot test's verdict for people: `booted`, `booted, with warnings`, `failed`, `inconclusive`. */
export function bootVerdict({
  verdict,
  warnings,
}: {
  verdict: string;
  warnings: readonly unknown[];
}): string {
  return warnings.length === 0 ? verdict : `${verdict}, with warnings`;
}
