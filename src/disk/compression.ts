import { Hyper2kvmError } from '../errors/error.js';
import { printable } from '../text/escape-terminal.js';
import { isArchive } from './base/archive-names.js';
import type { ByteSource } from './base/format.js';
import { formatOfExtension } from './formats.js';

/** A compression of a single file. */
export interface Compression {
  name: 'gzip' | 'xz' | 'zstd' | 'lzop';
  suffix: string;
  magic: Buffer;
}

const COMPRESSIONS: readonly Compression[] = [
  { name: 'gzip', suffix: '.gz', magic: Buffer.from([0x1f, 0x8b, 0x08]) },
  { name: 'xz', suffix: '.xz', magic: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]) },
  { name: 'zstd', suffix: '.zst', magic: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]) },
  {
    name: 'lzop',
    suffix: '.lzo',
    magic: Buffer.from([0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a]),
  },
];

/** A compressed file, and the name of its content. */
export interface Packed {
  compression: Compression;
  inner: string;
}

/** `web01.vmdk.gz` is `web01.vmdk` in gzip. Null unless the name is that of a compressed disk or archive. */
export function compressionOf(name: string): Packed | null {
  const compression = COMPRESSIONS.find(({ suffix }) => name.toLowerCase().endsWith(suffix));
  if (compression === undefined) return null;
  const inner = name.slice(0, -compression.suffix.length);
  return formatOfExtension(inner) !== null || isArchive(inner) ? { compression, inner } : null;
}

/** Returns the name of the disk itself, compressed or not. */
export function innerName(name: string): string {
  return compressionOf(name)?.inner ?? name;
}

/**
 * Returns how a file is compressed: according to its name, or, with the name of its content, as archives and
 * disks of an OVF may be. Null if it is not compressed. Rejects with `fetch.conflicting-format` if the
 * content contradicts the name.
 */
export async function compressionIn(name: string, source: ByteSource): Promise<Packed | null> {
  const packed = compressionOf(name);
  if (packed !== null) {
    await checkMagic(name, packed.compression, source);
    return packed;
  }
  if (!mayBePacked(name)) return null;
  const head = await source.read(0, LONGEST_MAGIC);
  const compression = COMPRESSIONS.find(({ magic }) => head.subarray(0, magic.length).equals(magic));
  return compression === undefined ? null : { compression, inner: name };
}

/** True for names of formats that cannot begin like a compressed file. A raw disk can begin with anything. */
export function mayBePacked(name: string): boolean {
  const format = formatOfExtension(name);
  return isArchive(name) || (format !== null && format.name !== 'raw');
}

async function checkMagic(name: string, compression: Compression, source: ByteSource): Promise<void> {
  const head = await source.read(0, compression.magic.length);
  if (head.equals(compression.magic)) return;
  throw new Hyper2kvmError(
    'fetch.conflicting-format',
    `${printable(name)} is not compressed with ${compression.name}`,
    { advice: `Rename it without ${compression.suffix}, or copy it again if it was damaged.` },
  );
}

const LONGEST_MAGIC = 9;
const GIB = 1024 ** 3;
const FREE_BYTES = 8 * GIB;
const FREE_DATA_BYTES = 32 * 1024 ** 2;
/** Zeros only cost time but data cost space: real disks shrink to a third, text to a tenth. */
const DATA_SHARE = 10;

export interface BudgetRequest {
  name: string;
  /** Bytes of the compressed file. */
  packed: number;
  /** `fetch.max_expansion`. */
  maxExpansion: number;
  /** Bytes that no disk may exceed. */
  maxBytes: number;
}

/**
 * Limits how far a file may grow when it is unpacked. Pure; `take` throws `fetch.bomb` before the bytes are
 * written.
 */
export class ExpansionBudget {
  readonly #request: BudgetRequest;
  #bytes = 0;
  #dataBytes = 0;

  constructor(request: BudgetRequest) {
    this.#request = request;
  }

  /** The same for a size that is known beforehand. */
  admitSize(bytes: number): void {
    const { maxBytes } = this.#request;
    if (bytes > maxBytes)
      throw this.#bomb(`more than ${Math.floor(maxBytes / GIB)} GiB (flatten.max_virtual_size_gib)`);
  }

  take(bytes: number, isZero: boolean): void {
    const { packed, maxExpansion } = this.#request;
    this.#bytes += bytes;
    if (!isZero) this.#dataBytes += bytes;
    this.admitSize(this.#bytes);
    if (this.#bytes > Math.max(FREE_BYTES, packed * maxExpansion))
      throw this.#bomb(`more than ${maxExpansion} times its size (fetch.max_expansion)`);
    if (this.#dataBytes > Math.max(FREE_DATA_BYTES, (packed * maxExpansion) / DATA_SHARE)) {
      throw this.#bomb(
        `data of more than ${Math.floor(maxExpansion / DATA_SHARE)} times its size (a tenth of fetch.max_expansion)`,
      );
    }
  }

  #bomb(what: string): Hyper2kvmError {
    return new Hyper2kvmError('fetch.bomb', `${printable(this.#request.name)} unpacks to ${what}`);
  }
}

/** As many zeros as can be hashed in a quarter of an hour. */
const FREE_HOLES = 1024 * GIB;

/**
 * Throws `fetch.bomb` if there are more zeros than a disk with that much data can have. A digest is computed
 * over the holes too, and a file of a few KiB may have petabytes of them. `what` begins the sentence.
 */
export function refuseHoles(what: string, holes: number, data: number, maxExpansion: number): void {
  if (holes <= Math.max(FREE_HOLES, data * maxExpansion)) return;
  throw new Hyper2kvmError(
    'fetch.bomb',
    `${what} has ${Math.floor(holes / GIB)} GiB of zeros beside ${Math.ceil(data / GIB)} GiB of data, more than ${maxExpansion} times as much (fetch.max_expansion)`,
    {
      advice:
        'Hashing them would take days. Convert it to qcow2 (`qemu-img convert -O qcow2`) and drop that.',
    },
  );
}
