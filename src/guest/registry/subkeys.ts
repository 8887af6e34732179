import { type Cells, NIL } from './cells.js';
import { corruptHive } from './errors.js';

/** A key in its cell is 76 bytes and its name, with the cell's own size field: never less than 88. */
const LEAST_KEY_BYTES = 80;

/** Offsets of the keys in the list at `list`, which is a leaf (li, lf, lh) or a root of leaves (ri). */
export function* subkeyOffsets(cells: Cells, list: number): Generator<number> {
  if (list === NIL) return;
  // More keys than fit into the hive: lists that share their bytes, as no real ones do.
  let left = cells.size / LEAST_KEY_BYTES;
  for (const leaf of leaves(cells, list)) {
    for (const offset of leafOffsets(leaf)) {
      left -= 1;
      if (left < 0) throw corruptHive('a list of keys has more than the hive can hold');
      yield offset;
    }
  }
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

function* leafOffsets(leaf: Buffer): Generator<number> {
  const kind = kindOf(leaf);
  if (kind !== 'li' && kind !== 'lf' && kind !== 'lh')
    throw corruptHive('a list of keys has an unknown form');
  // lf and lh have a hint of the name behind each offset: four of its characters, or its hash.
  const step = kind === 'li' ? 4 : 8;
  const count = countOf(leaf, step);
  for (let index = 0; index < count; index += 1) yield leaf.readUInt32LE(4 + index * step);
}

const kindOf = (cell: Buffer): string => cell.toString('latin1', 0, 2);

function countOf(cell: Buffer, step: number): number {
  const count = cell.readUInt16LE(2);
  if (4 + count * step > cell.length) throw corruptHive('a list of keys is longer than its cell');
  return count;
}
