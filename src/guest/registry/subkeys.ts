import { type Cells, NIL } from './cells.js';
import { corruptHive } from './errors.js';

/** A key in its cell is 76 bytes and its name, with the cell's own size field: never less than 88. */
const LEAST_KEY_BYTES = 80;

/**
 * Offsets of the keys in the list at `list`, which is a leaf (li, lf, lh) or a root of leaves (ri). With
 * `name`, in upper case, only those that may have it: leaves of the form lh hold a hash of each name, and
 * Windows finds no key whose hash is another.
 */
export function* subkeyOffsets(cells: Cells, list: number, name?: string): Generator<number> {
  if (list === NIL) return;
  // More keys than fit into the hive: lists that share their bytes, as no real ones do.
  let left = cells.size / LEAST_KEY_BYTES;
  const hash = name === undefined ? null : nameHash(name);
  for (const leaf of leaves(cells, list)) {
    const { kind, step, count } = leafForm(leaf);
    left -= count;
    if (left < 0) throw corruptHive('a list of keys has more than the hive can hold');
    for (let at = 4; at < 4 + count * step; at += step)
      if (hash === null || kind !== 'lh' || leaf.readUInt32LE(at + 4) === hash) yield leaf.readUInt32LE(at);
  }
}

function nameHash(name: string): number {
  let hash = 0;
  for (let index = 0; index < name.length; index += 1)
    hash = (Math.imul(hash, 37) + name.charCodeAt(index)) >>> 0;
  return hash;
}

function* leaves(cells: Cells, list: number): Generator<Buffer> {
  const cell = cells.at(list, 'a list of keys');
  if (kindOf(cell) !== 'ri') {
    yield cell;
    return;
  }
  for (let index = 0; index < countOf(cell, 4); index += 1) {
    const leaf = cells.at(cell.readUInt32LE(4 + index * 4), 'a list of keys');
    if (kindOf(leaf) === 'ri') throw corruptHive('a root of lists contains another');
    yield leaf;
  }
}

function leafForm(leaf: Buffer): { kind: string; step: number; count: number } {
  const kind = kindOf(leaf);
  if (kind !== 'li' && kind !== 'lf' && kind !== 'lh')
    throw corruptHive('a list of keys has an unknown form');
  // lf and lh have a hint of the name behind each offset: four of its characters, or its hash.
  const step = kind === 'li' ? 4 : 8;
  return { kind, step, count: countOf(leaf, step) };
}

const kindOf = (cell: Buffer): string => cell.toString('latin1', 0, 2);

function countOf(cell: Buffer, step: number): number {
  const count = cell.readUInt16LE(2);
  if (4 + count * step > cell.length) throw corruptHive('a list of keys is longer than its cell');
  return count;
}
