import { openCells } from './cells.js';
import { findKeys } from './find-keys.js';
import { openHive } from './hive.js';
import { upperCase } from './names.js';
import { readValue } from './value-data.js';

/** A value by its key's path from the hive's root and its name, both of any case. */
export interface ValueName {
  key: string;
  name: string;
}

const COUNT_AT = 36;
const LIST_AT = 40;

/**
 * Returns the hive without these values; those that it does not have are passed over. Only the keys' lists are
 * changed: the cells of a value stay in use, which Windows allows, and nothing else moves. (libguestfs offers
 * no call of hivex that deletes a value.) Throws `guest.hive-corrupt`.
 */
export function withoutValues(hive: Buffer, values: readonly ValueName[]): Buffer {
  const bytes = Buffer.from(hive);
  // Views of `bytes`: what is written to them is written there.
  const cells = openCells(bytes);
  const names = new Map<string, Set<string>>();
  for (const { key, name } of values) {
    const id = upperCase(key);
    names.set(id, (names.get(id) ?? new Set()).add(upperCase(name)));
  }
  for (const [path, key] of findKeys(openHive(bytes).root, names.keys())) {
    const cell = cells.at(key.offset, 'a key');
    // Checks the list, too.
    if ([...key.values()].length === 0) continue;
    const count = cell.readUInt32LE(COUNT_AT);
    const list = cells.at(cell.readUInt32LE(LIST_AT), "a key's list of values");
    const wanted = names.get(path);
    const kept = Array.from({ length: count }, (_, index) => list.readUInt32LE(index * 4)).filter(
      (offset) => {
        const value = readValue(cells, offset);
        return value === null || wanted?.has(upperCase(value.name)) !== true;
      },
    );
    if (kept.length === count) continue;
    for (const [index, offset] of kept.entries()) list.writeUInt32LE(offset, index * 4);
    cell.writeUInt32LE(kept.length, COUNT_AT);
    // A list without values is none.
    if (kept.length === 0) cell.writeUInt32LE(0xffff_ffff, LIST_AT);
  }
  return bytes;
}
