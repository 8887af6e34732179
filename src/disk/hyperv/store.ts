import { crc32 } from 'node:zlib';
import { corrupt, unsupported } from '../base/bytes.js';

/** A node of a configuration: values and further nodes by their names, as they are written. */
export type ConfigTree = Map<string, ConfigValue | ConfigTree>;
export type ConfigValue = string | number | boolean;

/**
 * Hyper-V's key-value file of which .vmcx is one ("HyperV Storage File Format" in OpenVMM's guide; little-endian, no
 * padding): two headers, tables of objects, and tables of keys, each of which names its parent node.
 */
const HEADERS = [0, 4096];
const HEADER_BYTES = 46;
const SIGNATURE = { header: 0x0128_2014, log: 0x0111_0003, objects: 0x0111_0001, keys: 2 };
/** 3.0 to 4.x: earlier ones number their tables in another way. */
const VERSIONS = { first: 0x0300, end: 0x0500 };
const OBJECT_TABLE = 8192;
const OBJECT_BYTES = 18;
const OBJECT = { objectTable: 1, keyTable: 2 };
const KEY_HEADER_BYTES = 21;
const TYPE = { int: 3, uint: 4, string: 6, bool: 8, node: 9 };
/** The value is an object of its own, as all of 2048 bytes and more are. None that is needed here is so long. */
const IS_ELSEWHERE = 1;
const MAX_TEXT = 2048;
/** Real ones have a dozen tables and under a thousand keys. */
const MAX_OBJECT_TABLES = 64;
const MAX_OBJECTS = 10_000;
const MAX_KEYS = 50_000;
const MAX_DEPTH = 32;

interface Key {
  name: string;
  /** Where it is: its table and its place in that. */
  id: string;
  parent: string;
  /** Undefined for a node, and for types that nothing here needs. */
  value: ConfigValue | undefined;
  isNode: boolean;
}

/** Parses the whole file. Throws `fetch.corrupt`, `fetch.unsupported`. */
export function parseStore(bytes: Buffer): ConfigTree {
  checkHeader(bytes);
  const children = new Map<string, Key[]>();
  for (const key of keysIn(bytes)) {
    const siblings = children.get(key.parent);
    if (siblings === undefined) children.set(key.parent, [key]);
    else siblings.push(key);
  }
  // A node has one parent, so what is reached from the root is a tree, and a loop is not reached.
  return treeOf(ROOT, children, 0);
}

const ROOT = '0:0';

function treeOf(id: string, children: ReadonlyMap<string, Key[]>, depth: number): ConfigTree {
  if (depth > MAX_DEPTH) throw corrupt('the .vmcx has more levels than any real one');
  const tree: ConfigTree = new Map();
  for (const key of children.get(id) ?? []) {
    if (key.isNode) tree.set(key.name, treeOf(key.id, children, depth + 1));
    else if (key.value !== undefined) tree.set(key.name, key.value);
  }
  return tree;
}

function checkHeader(bytes: Buffer): void {
  const headers = HEADERS.filter((at) => isHeader(bytes, at));
  const newest = headers.sort((a, b) => bytes.readUInt16LE(b + 8) - bytes.readUInt16LE(a + 8))[0];
  if (newest === undefined) throw corrupt('the .vmcx has no valid header');
  const version = bytes.readUInt32LE(newest + 10);
  if (version < VERSIONS.first || version >= VERSIONS.end)
    throw unsupported(`the .vmcx is of an unknown version (${version.toString(16)})`, LEAVE_OUT);
  const log = Number(bytes.readBigUInt64LE(newest + 26));
  if (log + 12 > bytes.length || bytes.readUInt32LE(log) !== SIGNATURE.log)
    throw corrupt('the .vmcx has no replay log');
  if (bytes.readUInt32LE(log + 8) > 0)
    throw unsupported('the .vmcx was not closed cleanly: its log must be replayed first', LEAVE_OUT);
}

const LEAVE_OUT = 'Export the VM again, or leave the file out: the disks are enough.';

function isHeader(bytes: Buffer, at: number): boolean {
  if (at + HEADER_BYTES > bytes.length || bytes.readUInt32LE(at) !== SIGNATURE.header) return false;
  const header = Buffer.from(bytes.subarray(at, at + HEADER_BYTES));
  header.writeUInt32LE(0, 4);
  return crc32(header) === bytes.readUInt32LE(at + 4);
}

/** Of several key tables with one number, the newest counts. */
function keysIn(bytes: Buffer): Key[] {
  const tables = new Map<number, { sequence: number; table: Buffer }>();
  for (const table of keyTables(bytes)) {
    if (table.length < 10 || table.readUInt16LE(0) !== SIGNATURE.keys)
      throw corrupt('a key table of the .vmcx has no header');
    const [index, sequence] = [table.readUInt16LE(2), table.readUInt16LE(4)];
    if (sequence >= (tables.get(index)?.sequence ?? 0)) tables.set(index, { sequence, table });
  }
  const keys: Key[] = [];
  let left = MAX_KEYS;
  for (const [index, { table }] of tables)
    for (let at = 10; at + KEY_HEADER_BYTES < table.length; ) {
      const size = table.readUInt32LE(at + 2);
      if (size === 0) break;
      if (size < KEY_HEADER_BYTES || at + size > table.length)
        throw corrupt('a key of the .vmcx does not fit its table');
      left -= 1;
      if (left < 0) throw corrupt('the .vmcx has more keys than any real one');
      const key = keyAt(table.subarray(at, at + size), `${index}:${at}`);
      if (key !== null) keys.push(key);
      at += size;
    }
  return keys;
}

function keyTables(bytes: Buffer): Buffer[] {
  const tables = new Map<number, Buffer>();
  const seen = new Set<number>();
  const queue = [OBJECT_TABLE];
  let objects = 0;
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    if (seen.has(at)) continue;
    seen.add(at);
    if (at + 8 > bytes.length || bytes.readUInt32LE(at) !== SIGNATURE.objects)
      throw corrupt('an object table of the .vmcx has no header');
    const end = at + 8 + bytes.readUInt32LE(at + 4) * OBJECT_BYTES;
    objects += bytes.readUInt32LE(at + 4);
    if (seen.size > MAX_OBJECT_TABLES || objects > MAX_OBJECTS || end > bytes.length)
      throw corrupt('an object table of the .vmcx does not fit');
    for (let entry = at + 8; entry < end; entry += OBJECT_BYTES) {
      const type = bytes[entry];
      if (type !== OBJECT.objectTable && type !== OBJECT.keyTable) continue;
      const offset = Number(bytes.readBigUInt64LE(entry + 5));
      const size = bytes.readUInt32LE(entry + 13);
      if (!(offset + size <= bytes.length)) throw corrupt('an object of the .vmcx is outside of the file');
      if (type === OBJECT.objectTable) queue.push(offset);
      else tables.set(offset, bytes.subarray(offset, offset + size));
    }
  }
  return [...tables.values()];
}

function keyAt(entry: Buffer, id: string): Key | null {
  const type = entry[0]!;
  const nameBytes = entry[20]!;
  if (nameBytes === 0 || type < TYPE.int || type > TYPE.node) return null;
  const name = entry.toString('utf8', KEY_HEADER_BYTES, KEY_HEADER_BYTES + nameBytes - 1);
  const table = entry.readUInt16LE(6);
  const parent = table === 0 ? ROOT : `${table}:${entry.readUInt32LE(8)}`;
  const isElsewhere = (entry[1]! & IS_ELSEWHERE) !== 0;
  const data = entry.subarray(KEY_HEADER_BYTES + nameBytes);
  return {
    name,
    id,
    parent,
    value: isElsewhere ? undefined : valueIn(type, data),
    isNode: type === TYPE.node,
  };
}

function valueIn(type: number, data: Buffer): ConfigValue | undefined {
  if (type === TYPE.int && data.length >= 8) return Number(data.readBigInt64LE(0));
  if (type === TYPE.uint && data.length >= 8) return Number(data.readBigUInt64LE(0));
  if (type === TYPE.bool && data.length >= 4) return data.readUInt32LE(0) !== 0;
  if (type !== TYPE.string || data.length < 4) return undefined;
  const length = data.readUInt32LE(0);
  if (length > MAX_TEXT) return undefined;
  // UTF-16, with or without a zero at the end.
  return data.toString('utf16le', 4, Math.min(4 + length, data.length)).split('\0', 1)[0];
}
