import { type Cells, NIL } from './cells.js';
import { corruptHive } from './errors.js';
import { decodeName } from './names.js';
import type { RegistryValue } from './value.js';

const HEADER_BYTES = 20;
const COMPRESSED_NAME = 0x0001;
/** A tombstone of a layered key: "there is no such value". */
const TOMBSTONE = 0x0002;
const INLINE = 0x8000_0000;
/** Data beyond this are in segments of this size (`db`), from version 1.4 on. */
const SEGMENT_BYTES = 16_344;

/** The value (`vk`) at `offset`; null for a tombstone. Its data are read when they are asked for. */
export function readValue(cells: Cells, offset: number): RegistryValue | null {
  const cell = cells.at(offset, 'a value');
  if (cell.length < HEADER_BYTES || cell.toString('latin1', 0, 2) !== 'vk')
    throw corruptHive('a value is not one');
  const nameEnd = HEADER_BYTES + cell.readUInt16LE(2);
  if (nameEnd > cell.length) throw corruptHive("a value's name is longer than its cell");
  const flags = cell.readUInt16LE(16);
  if ((flags & TOMBSTONE) !== 0) return null;
  return {
    name: decodeName(cell.subarray(HEADER_BYTES, nameEnd), (flags & COMPRESSED_NAME) !== 0),
    type: cell.readUInt32LE(12),
    get data() {
      return readData(cells, cell);
    },
  };
}

function readData(cells: Cells, value: Buffer): Buffer {
  const size = value.readUInt32LE(4);
  if (size >= INLINE) {
    if (size - INLINE > 4) throw corruptHive("a value's data do not fit into the value");
    return value.subarray(8, 8 + size - INLINE);
  }
  if (size === 0) return Buffer.alloc(0);
  const offset = value.readUInt32LE(8);
  if (offset === NIL) throw corruptHive("a value's data are missing");
  const cell = cells.at(offset, "a value's data");
  // A cell of an old hive may hold more than a segment: only what does not fit is split.
  if (size > SEGMENT_BYTES && cells.minorVersion > 3 && size > cell.length)
    return readSegments(cells, cell, size);
  if (size > cell.length) throw corruptHive("a value's data are cut off");
  return cell.subarray(0, size);
}

function readSegments(cells: Cells, cell: Buffer, size: number): Buffer {
  if (cell.toString('latin1', 0, 2) !== 'db') throw corruptHive("a value's data are cut off");
  const count = cell.readUInt16LE(2);
  // Segments that share their bytes would make a large value of a small hive.
  if (size > cells.size || count !== Math.ceil(size / SEGMENT_BYTES))
    throw corruptHive("a value's data have the wrong number of segments");
  const list = cells.at(cell.readUInt32LE(4), "a value's list of segments");
  if (count * 4 > list.length) throw corruptHive("a value's list of segments is cut off");
  const pieces: Buffer[] = [];
  for (let index = 0; index < count; index += 1) {
    const length = Math.min(SEGMENT_BYTES, size - index * SEGMENT_BYTES);
    const segment = cells.at(list.readUInt32LE(index * 4), "a segment of a value's data");
    if (segment.length < length) throw corruptHive("a segment of a value's data is cut off");
    pieces.push(segment.subarray(0, length));
  }
  return Buffer.concat(pieces, size);
}
