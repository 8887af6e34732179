import { openCells } from './cells.js';
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
  for (const { key: path, name } of values) {
    const key = openHive(bytes).key(path);
    if (key === null) continue;
    const cell = cells.at(key.offset, 'a key');
    const count = cell.readUInt32LE(COUNT_AT);
    if (count === 0 || key.value(name) === null) continue;
    const list = cells.at(cell.readUInt32LE(LIST_AT), "a key's list of values");
    const offsets = Array.from({ length: count }, (_, index) => list.readUInt32LE(index * 4));
    const wanted = upperCase(name);
    const kept = offsets.filter((offset) => upperCase(readValue(cells, offset)?.name ?? '\0') !== wanted);
    for (const [index, offset] of kept.entries()) list.writeUInt32LE(offset, index * 4);
    cell.writeUInt32LE(kept.length, COUNT_AT);
    // A list without values is none.
    if (kept.length === 0) cell.writeUInt32LE(0xffff_ffff, LIST_AT);
  }
  return bytes;
}
