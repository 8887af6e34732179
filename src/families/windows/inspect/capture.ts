import { configurationTooLarge } from '../../../access/snapshot-collector.js';
import type { CapturedKey } from '../../../guest/registry/captured.js';
import type { Hive, RegistryKey } from '../../../guest/registry/hive.js';
import { upperCase } from '../../../guest/registry/names.js';
import type { RegistryValue } from '../../../guest/registry/value.js';

/** A place in a hive of which something is captured. */
export interface Place {
  /** Names between backslashes; `*` stands for every subkey, and `NAME*` for those that begin so. */
  path: string;
  /** `values` alone, or all that is `below` as well. */
  take: 'values' | 'below';
  /** Names of the values that count, any case; without it all do. A key without one of them is left out. */
  only?: readonly string[];
}

/** Real guests have a few thousand keys and less than 1 MiB of values. */
const MAX_KEYS = 50_000;
const MAX_BYTES = 16 * 1024 * 1024;
/** A longer value is no configuration and is left out: nothing may be planned from a part of it. */
const MAX_VALUE_BYTES = 64 * 1024;
const MAX_DEPTH = 32;

/**
 * Returns the keys at `places`, by path, each once. Throws `inspect.configuration-too-large` if they are more
 * than any real guest has.
 */
export function captureKeys(hive: Hive, places: readonly Place[]): CapturedKey[] {
  const capture = new Capture();
  for (const place of places) capture.place(hive.root, place);
  return capture.keys();
}

class Capture {
  readonly #keys = new Map<string, { path: string; values: Map<string, RegistryValue> }>();
  #bytes = 0;
  #visited = 0;

  place(root: RegistryKey, { path, take, only }: Place): void {
    const wanted = only === undefined ? null : new Set(only.map(upperCase));
    for (const [key, real] of this.#matching(root, path.split('\\'), ''))
      this.#add(key, real, take === 'below' ? MAX_DEPTH : 0, wanted);
  }

  /** Yields the keys that a path with patterns stands for, with their own paths. */
  *#matching(
    key: RegistryKey,
    names: readonly string[],
    path: string,
  ): Generator<[key: RegistryKey, path: string]> {
    const [name, ...rest] = names;
    if (name === undefined) {
      yield [key, path];
      return;
    }
    const prefix = name.endsWith('*') ? upperCase(name.slice(0, -1)) : null;
    const found = prefix === null ? [key.key(name)] : key.subkeys();
    for (const child of found) {
      if (child === null) continue;
      this.#visit();
      if (prefix !== null && !upperCase(child.name).startsWith(prefix)) continue;
      yield* this.#matching(child, rest, path === '' ? child.name : `${path}\\${child.name}`);
    }
  }

  #add(key: RegistryKey, path: string, depth: number, wanted: ReadonlySet<string> | null): void {
    const values = [...key.values()].filter(
      ({ name, data }) => data.length <= MAX_VALUE_BYTES && (wanted === null || wanted.has(upperCase(name))),
    );
    if (wanted === null || values.length > 0) this.#put(path, values);
    if (depth === 0) return;
    for (const child of key.subkeys()) {
      this.#visit();
      this.#add(child, `${path}\\${child.name}`, depth - 1, wanted);
    }
  }

  #put(path: string, values: readonly RegistryValue[]): void {
    const id = upperCase(path);
    const known = this.#keys.get(id) ?? { path, values: new Map<string, RegistryValue>() };
    this.#keys.set(id, known);
    for (const value of values) {
      known.values.set(upperCase(value.name), value);
      this.#bytes += path.length + value.name.length + value.data.length;
    }
    if (this.#keys.size > MAX_KEYS || this.#bytes > MAX_BYTES) throw configurationTooLarge();
  }

  /** Hostile hives have millions of keys that nothing is captured of. */
  #visit(): void {
    if (++this.#visited > MAX_VISITS) throw configurationTooLarge();
  }

  keys(): CapturedKey[] {
    return [...this.#keys]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, { path, values }]) => ({
        path,
        values: [...values]
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([, { name, type, data }]) => ({
            name,
            type,
            data: data.toString('hex'),
          })),
      }));
  }
}

/** Keys that are looked at: `Enum` of a real guest has some thousands. */
const MAX_VISITS = 500_000;
