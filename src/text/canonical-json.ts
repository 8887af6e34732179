import { createHash } from 'node:crypto';

/**
 * Returns JSON with sorted keys, so that each value has exactly one text: digests and plan.json depend on it.
 * `indent` is in blanks, none by default.
 */
export function canonicalJson(value: unknown, indent = 0): string {
  return JSON.stringify(value, sortKeys, indent);
}

function sortKeys(_key: string, part: unknown): unknown {
  if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
  return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Returns the SHA-256 of UTF-8 text in lower-case hexadecimal. */
export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
