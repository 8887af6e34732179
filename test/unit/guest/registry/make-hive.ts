/** A key of a hive that a test makes. */
export interface MadeKey {
  name: string;
  className?: string;
  values?: readonly MadeValue[];
  keys?: readonly MadeKey[];
  /** 1 of some security descriptors; 0 where left out. */
  security?: 0 | 1;
  /** As the option of that name, for this key alone. */
  leafKeys?: number;
}

export interface MadeValue {
  name: string;
  type: number;
  data: Buffer;
}

interface HiveOptions {
  /** 3 to 6: before 4 no `db`, before 5 `lf` lists. */
  minorVersion?: number;
  /** Keys in a list before it is split under `ri`; Windows' own limit is about 500. */
  leafKeys?: number;
  sequence?: readonly [number, number];
  /** FILETIME of the last write. */
  lastWritten?: bigint;
}

const NIL = 0xffff_ffff;
const SEGMENT = 16_344;
const PAGE = 4096;

/**
 * The bytes of a hive, after the specification and not after our reader: bins of several sizes, every form of
 * list, data in the value, in a cell and in segments, class names, two security descriptors.
 */
export function makeHive(root: MadeKey, options: HiveOptions = {}): Buffer {
  const bins = new Bins();
  const security = makeSecurity(bins);
  const rootOffset = addKey(bins, root, NIL, { ...options, security });
  return Buffer.concat([baseBlock(bins.size, rootOffset, options), bins.bytes()]);
}

/** Base block of a hive (type 0) or of a log. */
export function baseBlock(
  binsSize: number,
  rootOffset: number,
  { minorVersion = 5, sequence = [1, 1], lastWritten = 0x01d6_0000_0000_0000n }: HiveOptions,
  type = 0,
): Buffer {
  const block = Buffer.alloc(PAGE);
  block.write('regf');
  block.writeUInt32LE(sequence[0], 4);
  block.writeUInt32LE(sequence[1], 8);
  block.writeBigUInt64LE(lastWritten, 12);
  block.writeUInt32LE(1, 20);
  block.writeUInt32LE(minorVersion, 24);
  block.writeUInt32LE(type, 28);
  block.writeUInt32LE(1, 32);
  block.writeUInt32LE(rootOffset, 36);
  block.writeUInt32LE(binsSize, 40);
  block.writeUInt32LE(1, 44);
  block.write('\\SystemRoot\\System32\\Config\\SYSTEM', 48, 'utf16le');
  return sealBaseBlock(block);
}

/** Writes the checksum. */
export function sealBaseBlock(block: Buffer): Buffer {
  let sum = 0;
  for (let at = 0; at < 508; at += 4) sum = (sum ^ block.readUInt32LE(at)) >>> 0;
  block.writeUInt32LE(sum === 0 ? 1 : sum === NIL ? NIL - 1 : sum, 508);
  return block;
}

interface Bin {
  start: number;
  bytes: Buffer;
  used: number;
}

/** Where cells are put: each in the last bin if there is room, else in a new one. */
class Bins {
  readonly #bins: Bin[] = [];
  /** By the number of the page; a bin has whole pages. */
  readonly #ofPage: Bin[] = [];
  size = 0;

  add(content: Buffer): number {
    const size = Math.ceil((content.length + 4) / 8) * 8;
    let bin = this.#bins.at(-1);
    if (bin === undefined || bin.used + size > bin.bytes.length) {
      const bytes = Buffer.alloc(Math.ceil((size + 32) / PAGE) * PAGE);
      bytes.write('hbin');
      bytes.writeUInt32LE(this.size, 4);
      bytes.writeUInt32LE(bytes.length, 8);
      bin = { start: this.size, bytes, used: 32 };
      this.#bins.push(bin);
      for (let page = 0; page < bytes.length / PAGE; page++) this.#ofPage.push(bin);
      this.size += bytes.length;
    }
    const at = bin.used;
    bin.bytes.writeInt32LE(-size, at);
    content.copy(bin.bytes, at + 4);
    bin.used += size;
    return bin.start + at;
  }

  write(offset: number, at: number, value: number): void {
    const { start, bytes } = this.#binOf(offset);
    bytes.writeUInt32LE(value, offset - start + 4 + at);
  }

  increment(offset: number, at: number): void {
    const { start, bytes } = this.#binOf(offset);
    this.write(offset, at, bytes.readUInt32LE(offset - start + 4 + at) + 1);
  }

  #binOf(offset: number): Bin {
    return this.#ofPage[Math.floor(offset / PAGE)]!;
  }

  bytes(): Buffer {
    for (const { bytes, used } of this.#bins)
      if (used < bytes.length) bytes.writeInt32LE(bytes.length - used, used);
    return Buffer.concat(this.#bins.map(({ bytes }) => bytes));
  }
}

type Made = HiveOptions & { security: readonly number[] };

function addKey(bins: Bins, key: MadeKey, parent: number, made: Made): number {
  const [name, isLatin] = encodeName(key.name);
  const node = Buffer.alloc(76 + name.length);
  node.write('nk');
  node.writeUInt16LE((isLatin ? 0x20 : 0) | (parent === NIL ? 0x0c : 0), 2);
  node.writeBigUInt64LE(0x01d6_0000_0000_0001n, 4);
  node.writeUInt32LE(parent, 16);
  for (const at of [28, 32, 40, 48]) node.writeUInt32LE(NIL, at);
  const security = made.security[key.security ?? 0]!;
  node.writeUInt32LE(security, 44);
  // Who deletes a key counts down, and frees the descriptor at 0.
  bins.increment(security, 12);
  node.writeUInt16LE(name.length, 72);
  name.copy(node, 76);
  const className = Buffer.from(key.className ?? '', 'utf16le');
  node.writeUInt16LE(className.length, 74);
  const offset = bins.add(node);
  if (className.length > 0) bins.write(offset, 48, bins.add(className));
  addValues(bins, offset, key.values ?? [], made);
  addSubkeys(bins, offset, key, made);
  return offset;
}

function addValues(bins: Bins, offset: number, values: readonly MadeValue[], made: Made): void {
  if (values.length === 0) return;
  bins.write(offset, 36, values.length);
  bins.write(offset, 40, bins.add(words(values.map((value) => addValue(bins, value, made)))));
}

function addValue(bins: Bins, { name: text, type, data }: MadeValue, { minorVersion = 5 }: Made): number {
  const [name, isLatin] = encodeName(text);
  const cell = Buffer.alloc(20 + name.length);
  cell.write('vk');
  cell.writeUInt16LE(name.length, 2);
  cell.writeUInt32LE(data.length <= 4 ? data.length + 0x8000_0000 : data.length, 4);
  if (data.length <= 4) data.copy(cell, 8);
  else cell.writeUInt32LE(addData(bins, data, minorVersion), 8);
  cell.writeUInt32LE(type, 12);
  cell.writeUInt16LE(isLatin ? 1 : 0, 16);
  name.copy(cell, 20);
  return bins.add(cell);
}

function addData(bins: Bins, data: Buffer, minorVersion: number): number {
  if (data.length <= SEGMENT || minorVersion < 4) return bins.add(data);
  const segments: number[] = [];
  for (let at = 0; at < data.length; at += SEGMENT)
    // Windows' segments have four bytes more than they hold.
    segments.push(bins.add(Buffer.concat([data.subarray(at, at + SEGMENT), Buffer.alloc(4)])));
  const header = Buffer.alloc(12);
  header.write('db');
  header.writeUInt16LE(segments.length, 2);
  header.writeUInt32LE(bins.add(words(segments)), 4);
  return bins.add(header);
}

function addSubkeys(bins: Bins, offset: number, key: MadeKey, made: Made): void {
  const { keys = [] } = key;
  if (keys.length === 0) return;
  const upper = ({ name }: MadeKey) => name.toUpperCase();
  const sorted = [...keys].sort((a, b) => (upper(a) < upper(b) ? -1 : 1));
  const offsets = sorted.map((key) => addKey(bins, key, offset, made));
  bins.write(offset, 20, keys.length);
  const { leafKeys = 500, minorVersion = 5 } = { ...made, ...key };
  const leaves: number[] = [];
  for (let at = 0; at < sorted.length; at += leafKeys)
    leaves.push(
      bins.add(leaf(sorted.slice(at, at + leafKeys), offsets.slice(at, at + leafKeys), minorVersion)),
    );
  const list =
    leaves.length === 1
      ? leaves[0]!
      : bins.add(
          listOf(
            'ri',
            leaves.map((at) => [at]),
          ),
        );
  bins.write(offset, 28, list);
}

function leaf(keys: readonly MadeKey[], offsets: readonly number[], minorVersion: number): Buffer {
  if (minorVersion > 4)
    return listOf(
      'lh',
      keys.map(({ name }, index) => [offsets[index]!, hash(name)]),
    );
  if (minorVersion === 3)
    return listOf(
      'li',
      offsets.map((at) => [at]),
    );
  const hint = (name: string) => Buffer.from(name.slice(0, 4).padEnd(4, '\0'), 'latin1').readUInt32LE(0);
  return listOf(
    'lf',
    keys.map(({ name }, index) => [offsets[index]!, hint(name)]),
  );
}

function hash(name: string): number {
  let sum = 0;
  for (const unit of name.toUpperCase()) sum = (Math.imul(sum, 37) + unit.charCodeAt(0)) >>> 0;
  return sum;
}

function listOf(kind: string, elements: readonly number[][]): Buffer {
  const header = Buffer.alloc(4);
  header.write(kind);
  header.writeUInt16LE(elements.length, 2);
  return Buffer.concat([header, words(elements.flat())]);
}

function words(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value, index * 4);
  return bytes;
}

/** Two descriptors in a ring. */
function makeSecurity(bins: Bins): number[] {
  const offsets = [0, 1].map((index) => {
    const cell = Buffer.alloc(20 + 20);
    cell.write('sk');
    cell.writeUInt32LE(20, 16);
    Buffer.from([1, 0, 4, 0x80 + index]).copy(cell, 20);
    return bins.add(cell);
  });
  for (const [index, offset] of offsets.entries())
    for (const at of [4, 8]) bins.write(offset, at, offsets[1 - index]!);
  return offsets;
}

/** One byte a character where all of them are below 256. */
function encodeName(name: string): [Buffer, boolean] {
  const isLatin = [...name].every((character) => character.charCodeAt(0) < 256);
  return [Buffer.from(name, isLatin ? 'latin1' : 'utf16le'), isLatin];
}

export const sz = (name: string, text: string, type = 1): MadeValue => ({
  name,
  type,
  data: Buffer.from(`${text}\0`, 'utf16le'),
});

export const multiSz = (name: string, texts: readonly string[]): MadeValue => ({
  name,
  type: 7,
  data: Buffer.from(`${texts.join('\0')}\0${texts.length > 0 ? '\0' : ''}`, 'utf16le'),
});

export const dword = (name: string, number: number): MadeValue => {
  const data = Buffer.alloc(4);
  data.writeUInt32LE(number);
  return { name, type: 4, data };
};

export const binary = (name: string, hex: string): MadeValue => ({
  name,
  type: 3,
  data: Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'),
});
