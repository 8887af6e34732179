import { upperCase } from './names.js';
import { numberOf, textOf, textsOf } from './value.js';

/** A value of a hive; `data` in hexadecimal. */
export interface CapturedValue {
  name: string;
  type: number;
  data: string;
}

/** A key of a hive with those of its values that were captured. `path` counts from the hive's root. */
export interface CapturedKey {
  path: string;
  values: CapturedValue[];
}

/** What of a hive the planner sees. */
export interface CapturedHive {
  /** The file in the guest. */
  path: string;
  /** What its logs added when it was read; null if it was closed. */
  recovered: { log: 'dirty pages' | 'entries'; pages: number; bytes: number } | null;
  /** In the order of their paths in upper case. */
  keys: readonly CapturedKey[];
}

/** One change to a hive. Keys and names are of any case; a key on the way that is missing is created. */
export type HiveEdit =
  | { edit: 'set'; key: string; name: string; type: number; data: string }
  | { edit: 'delete-value'; key: string; name: string }
  | { edit: 'delete-key'; key: string };

/** Returns the captured key at `path`; null if it is not captured. */
export function capturedKey(hive: CapturedHive, path: string): CapturedKey | null {
  const wanted = upperCase(path);
  return hive.keys.find((key) => upperCase(key.path) === wanted) ?? null;
}

/** Returns the captured value; null if there is none. */
export function capturedValue(hive: CapturedHive, path: string, name: string): CapturedValue | null {
  const wanted = upperCase(name);
  return capturedKey(hive, path)?.values.find((value) => upperCase(value.name) === wanted) ?? null;
}

/** `numberOf` the value; null if there is none, too. */
export const capturedNumber = (value: CapturedValue | null): number | null =>
  value === null ? null : numberOf(withBytes(value));

/** `textOf` the value; null if there is none, too. */
export const capturedText = (value: CapturedValue | null): string | null =>
  value === null ? null : textOf(withBytes(value));

/** `textsOf` the value; null if there is none, too. */
export const capturedTexts = (value: CapturedValue | null): string[] | null =>
  value === null ? null : textsOf(withBytes(value));

const withBytes = ({ name, type, data }: CapturedValue) => ({ name, type, data: Buffer.from(data, 'hex') });

/** Returns the hive as it is after the edits. Pure. */
export function withEdits(hive: CapturedHive, edits: readonly HiveEdit[]): CapturedHive {
  const keys = new Map(hive.keys.map((key) => [upperCase(key.path), key]));
  for (const edit of edits) {
    const id = upperCase(edit.key);
    if (edit.edit === 'delete-key') {
      for (const other of [...keys.keys()])
        if (other === id || other.startsWith(`${id}\\`)) keys.delete(other);
      continue;
    }
    const known = keys.get(id) ?? { path: edit.key, values: [] };
    if (edit.edit === 'delete-value' && !keys.has(id)) continue;
    keys.set(id, { path: known.path, values: editedValues(known.values, edit) });
  }
  const sorted = [...keys].sort(([a], [b]) => (a < b ? -1 : 1));
  return { ...hive, keys: sorted.map(([, key]) => key) };
}

function editedValues(
  values: readonly CapturedValue[],
  edit: Exclude<HiveEdit, { edit: 'delete-key' }>,
): CapturedValue[] {
  const wanted = upperCase(edit.name);
  const others = values.filter(({ name }) => upperCase(name) !== wanted);
  if (edit.edit === 'delete-value') return others;
  // hivex gives an existing value the new spelling, too.
  const set = { name: edit.name, type: edit.type, data: edit.data };
  return [...others, set].sort((a, b) => (upperCase(a.name) < upperCase(b.name) ? -1 : 1));
}
