import { type Cells, NIL, openCells } from './cells.js';
import { corruptHive } from './errors.js';
import { decodeName, upperCase } from './names.js';
import { subkeyOffsets } from './subkeys.js';
import { numberOf, type RegistryValue, textOf, textsOf } from './value.js';
import { readValue } from './value-data.js';

/**
 * Registry hives (regf 1.3 to 1.6), read only: SYSTEM, SOFTWARE, a BCD store. Use:
 *
 *     const { bytes } = recoverHive(file, [log1, log2]);     // recover.ts: always first
 *     const system = openHive(bytes);
 *     const set = system.root.key('Select')?.number('Current');
 *     system.key('ControlSet001\\Services\\viostor')?.text('ImagePath');
 *
 * Format: Maxim Suhanov, "Windows registry file format specification"
 * (https://github.com/msuhanov/regf, CC BY 4.0). Nothing is read before it is asked for. A hive is untrusted:
 * what is damaged throws `guest.hive-corrupt` when it is reached, and every walk is bounded by the hive's size.
 */
export interface Hive {
  readonly root: RegistryKey;
  /** The key at `path`, which counts from the root: names between backslashes, of any case. */
  key(path: string): RegistryKey | null;
}

export interface RegistryKey {
  readonly name: string;
  /** Of its cell. */
  readonly offset: number;
  /** Null for nearly all keys. */
  readonly className: string | null;
  /** FILETIME of the last change. */
  readonly lastWritten: bigint;
  /** In the order of the hive, which is that of their upper-case names. */
  subkeys(): Generator<RegistryKey>;
  /** The key at `path` below this one; null where there is none. */
  key(path: string): RegistryKey | null;
  /** In the order of the hive, which is that of their creation. */
  values(): Generator<RegistryValue>;
  /** The value of that name in any case, '' for the default value; null where there is none. */
  value(name: string): RegistryValue | null;
  /** `textOf` the value; null where there is none, too. */
  text(name: string): string | null;
  /** `textsOf` the value; null where there is none, too. */
  texts(name: string): string[] | null;
  /** `numberOf` the value; null where there is none, too. */
  number(name: string): number | null;
}

/**
 * Opens a hive as it stands, whether or not its last write was finished (`recoverHive` knows). Throws
 * `guest.hive-corrupt` or `guest.hive-unsupported`.
 */
export function openHive(bytes: Buffer): Hive {
  const cells = openCells(bytes);
  const root = new Key(cells, cells.root);
  return { root, key: (path) => root.key(path) };
}

const HEADER_BYTES = 76;
const COMPRESSED_NAME = 0x0020;
/** A key whose number of values is a handle: it has none. */
const PREDEFINED_HANDLE = 0x0040;
/** Windows takes no deeper keys and no longer names. */
const MAX_NAME_BYTES = 512;
const MAX_PATH_KEYS = 512;

class Key implements RegistryKey {
  readonly #cells: Cells;
  readonly offset: number;
  readonly #cell: Buffer;
  readonly name: string;

  constructor(cells: Cells, offset: number, parent?: number) {
    const cell = cells.at(offset, 'a key');
    if (cell.length < HEADER_BYTES || cell.toString('latin1', 0, 2) !== 'nk')
      throw corruptHive('a key is not one');
    // So every key is in one place only, and no path comes back to where it was.
    if (parent !== undefined && (cell.readUInt32LE(16) !== parent || offset === cells.root))
      throw corruptHive('a key is listed by another than its parent');
    const nameBytes = cell.readUInt16LE(72);
    if (nameBytes === 0 || nameBytes > MAX_NAME_BYTES || HEADER_BYTES + nameBytes > cell.length)
      throw corruptHive("a key's name has an impossible length");
    this.#cells = cells;
    this.offset = offset;
    this.#cell = cell;
    this.name = decodeName(
      cell.subarray(HEADER_BYTES, HEADER_BYTES + nameBytes),
      (cell.readUInt16LE(2) & COMPRESSED_NAME) !== 0,
    );
  }

  get className(): string | null {
    const [offset, size] = [this.#cell.readUInt32LE(48), this.#cell.readUInt16LE(74)];
    if (offset === NIL || size === 0) return null;
    const cell = this.#cells.at(offset, "a key's class name");
    if (size > cell.length) throw corruptHive("a key's class name is cut off");
    return decodeName(cell.subarray(0, size), false);
  }

  get lastWritten(): bigint {
    return this.#cell.readBigUInt64LE(4);
  }

  *subkeys(): Generator<RegistryKey> {
    yield* this.#children();
  }

  *#children(name?: string): Generator<Key> {
    if (this.#cell.readUInt32LE(20) === 0) return;
    const seen = new Set<number>();
    for (const offset of subkeyOffsets(this.#cells, this.#cell.readUInt32LE(28), name)) {
      if (seen.has(offset)) throw corruptHive('a key is listed twice');
      seen.add(offset);
      yield new Key(this.#cells, offset, this.offset);
    }
  }

  key(path: string): RegistryKey | null {
    const names = path.split('\\').filter((name) => name !== '');
    if (names.length > MAX_PATH_KEYS) return null;
    let key: Key = this;
    for (const name of names) {
      const child = key.#child(name);
      if (child === null) return null;
      key = child;
    }
    return key;
  }

  #child(name: string): Key | null {
    const wanted = upperCase(name);
    for (const child of this.#children(wanted))
      if (child.name.length === name.length && upperCase(child.name) === wanted) return child;
    return null;
  }

  *values(): Generator<RegistryValue> {
    const count = this.#cell.readUInt32LE(36);
    if (count === 0 || (this.#cell.readUInt16LE(2) & PREDEFINED_HANDLE) !== 0) return;
    const list = this.#cells.at(this.#cell.readUInt32LE(40), "a key's list of values");
    if (count * 4 > list.length) throw corruptHive("a key's list of values is cut off");
    for (let index = 0; index < count; index += 1) {
      const value = readValue(this.#cells, list.readUInt32LE(index * 4));
      if (value !== null) yield value;
    }
  }

  value(name: string): RegistryValue | null {
    const wanted = upperCase(name);
    for (const value of this.values())
      if (value.name.length === name.length && upperCase(value.name) === wanted) return value;
    return null;
  }

  text(name: string): string | null {
    const value = this.value(name);
    return value === null ? null : textOf(value);
  }

  texts(name: string): string[] | null {
    const value = this.value(name);
    return value === null ? null : textsOf(value);
  }

  number(name: string): number | null {
    const value = this.value(name);
    return value === null ? null : numberOf(value);
  }
}
