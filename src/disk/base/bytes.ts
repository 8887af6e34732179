import { Hyper2kvmError } from '../../errors/error.js';
import type { ByteSource, Completeness } from './format.js';

/**
 * Returns `fetch.corrupt`: the file contradicts itself or its format. Not for data that are merely missing at
 * the end.
 */
export function corrupt(message: string): Hyper2kvmError {
  return new Hyper2kvmError('fetch.corrupt', message);
}

/** Returns `fetch.unsupported`: valid in the format, but this product (or QEMU) cannot read it. */
export function unsupported(message: string, advice: string): Hyper2kvmError {
  return new Hyper2kvmError('fetch.unsupported', message, { advice });
}

/** Returns `fetch.truncated`: the file ends where a structure should continue. */
export function truncated(message: string): Hyper2kvmError {
  return new Hyper2kvmError('fetch.truncated', message);
}

/** Reads exactly `length` bytes. Rejects with `fetch.truncated`, naming `what`, if the file ends earlier. */
export async function readExact(
  source: ByteSource,
  offset: number,
  length: number,
  what: string,
): Promise<Buffer> {
  if (offset + length > source.size) {
    throw truncated(`${what} should end at byte ${offset + length}, the file has ${source.size}`);
  }
  const bytes = await source.read(offset, length);
  if (bytes.length !== length) throw truncated(`${what} could not be read completely at byte ${offset}`);
  return bytes;
}

const CHUNK = 1024 * 1024;

/**
 * Passes the table of `length` bytes at `offset` to `use` in chunks of at most 1 MiB, each with its offset in
 * the table, because tables may have hundreds of MiB. Yields to the event loop in between. Holes of the file
 * are zeros and are not passed. Rejects like `readExact`.
 */
export async function readTable(
  source: ByteSource,
  offset: number,
  length: number,
  what: string,
  use: (chunk: Buffer, at: number) => void,
): Promise<void> {
  const holes = new Holes(source);
  for (let at = 0; at < length; at += CHUNK) {
    const size = Math.min(CHUNK, length - at);
    if (await holes.has(offset + at, size)) continue;
    use(await readExact(source, offset + at, size, what), at);
  }
  // Needed also if the table ends in a hole or after the end of the file.
  if (offset + length > source.size) await readExact(source, offset, length, what);
}

/** Answers, for increasing offsets, what is in a hole of the file. */
export class Holes {
  readonly #source: ByteSource;
  /** There is a hole from `#from` to `#data`. */
  #from = 0;
  #data = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  async has(offset: number, length: number): Promise<boolean> {
    if (this.#source.nextData === undefined || offset + length > this.#source.size) return false;
    if (offset < this.#from || offset + length > this.#data) {
      this.#from = offset;
      this.#data = await this.#source.nextData(offset);
    }
    return offset + length <= this.#data;
  }
}

/**
 * Returns a 64-bit field as a number; throws `fetch.corrupt` beyond 2^53, which no real size or offset
 * reaches.
 */
export function u64le(bytes: Buffer, offset: number, what: string): number {
  return safe(bytes.readBigUInt64LE(offset), what);
}

export function u64be(bytes: Buffer, offset: number, what: string): number {
  return safe(bytes.readBigUInt64BE(offset), what);
}

function safe(value: bigint, what: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw corrupt(`${what} is impossibly large (${value})`);
  return Number(value);
}

/** Covers what formats.ts reads of every file: the last signature of a raw disk is after 64 KiB. */
const HEAD_BYTES = 68 * 1024;
const TAIL_BYTES = 2048;

/**
 * Returns the same bytes, of which the first 68 KiB and the last 2 KiB are read only once, because every
 * format reads them.
 */
export function rememberEnds(source: ByteSource): ByteSource {
  const tailStart = Math.max(0, source.size - TAIL_BYTES);
  let head: Promise<Buffer> | null = null;
  let tail: Promise<Buffer> | null = null;
  return {
    ...source,
    async read(offset, length) {
      const end = Math.min(offset + length, source.size);
      if (end <= HEAD_BYTES) {
        head ??= source.read(0, HEAD_BYTES);
        return (await head).subarray(offset, end);
      }
      if (offset < tailStart) return source.read(offset, length);
      tail ??= source.read(tailStart, TAIL_BYTES);
      return (await tail).subarray(offset - tailStart, end - tailStart);
    },
  };
}

/**
 * Returns the bytes `offset` to `offset + size` of `source`: a member of an archive, or an extent in a larger
 * file.
 */
export function sliceSource(source: ByteSource, offset: number, size: number): ByteSource {
  const end = Math.max(0, Math.min(size, source.size - offset));
  const nextData = async (at: number) =>
    Math.min(end, ((await source.nextData?.(offset + at)) ?? 0) - offset);
  return {
    size: end,
    ...(source.nextData === undefined ? {} : { nextData }),
    read: (at, length) => source.read(offset + at, Math.max(0, Math.min(length, end - at))),
  };
}

/** Turns `fetch.truncated` into a reason, and throws every other error again. */
export function incomplete(error: unknown): Completeness {
  if (error instanceof Hyper2kvmError && error.code === 'fetch.truncated')
    return { complete: false, reason: error.message };
  throw error;
}
