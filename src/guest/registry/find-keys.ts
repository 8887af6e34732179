import type { RegistryKey } from './hive.js';
import { upperCase } from './names.js';

/**
 * Wanted keys below one key from which on its list is walked once for all of them; fewer are looked up one by
 * one, which passes over what is damaged beside them.
 */
const MANY = 16;

/**
 * Returns the keys at `paths`, which count from `root`, by their paths in upper case; those that do not exist
 * are left out. However many paths there are, the time is that of a few walks through the lists on the way: a
 * hostile hive has many keys with one parent.
 */
export function findKeys(root: RegistryKey, paths: Iterable<string>): Map<string, RegistryKey> {
  const found = new Map<string, RegistryKey>();
  const wanted = new Map([...paths].map((path) => [upperCase(path), upperCase(path).split('\\')]));
  find(root, [...wanted], found, 0);
  return found;
}

function find(
  key: RegistryKey,
  wanted: readonly (readonly [path: string, names: readonly string[]])[],
  found: Map<string, RegistryKey>,
  depth: number,
): void {
  const below = new Map<string, (readonly [string, readonly string[]])[]>();
  for (const entry of wanted) {
    const [path, names] = entry;
    const name = names[depth];
    if (name === undefined) found.set(path, key);
    else {
      const entries = below.get(name) ?? [];
      below.set(name, entries);
      entries.push(entry);
    }
  }
  const children = childrenOf(key, [...below.keys()]);
  for (const [name, entries] of below) {
    const child = children.get(name);
    if (child !== undefined) find(child, entries, found, depth + 1);
  }
}

function childrenOf(key: RegistryKey, names: readonly string[]): Map<string, RegistryKey> {
  const children = new Map<string, RegistryKey>();
  if (names.length < MANY) {
    for (const name of names) {
      const child = key.key(name);
      if (child !== null) children.set(name, child);
    }
    return children;
  }
  const wanted = new Set(names);
  for (const child of key.subkeys()) {
    const name = upperCase(child.name);
    if (wanted.has(name) && !children.has(name)) children.set(name, child);
  }
  return children;
}
