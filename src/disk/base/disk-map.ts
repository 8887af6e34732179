import { readExact } from './bytes.js';
import type { ByteSource, DiskMap } from './format.js';

/** A state of a disk, with the file that it is in. */
export interface MappedState {
  map: DiskMap;
  source: ByteSource;
}

const MIB = 1024 * 1024;

/**
 * Reads what a chain of states (newest first) holds, in pieces of at most 1 MiB with their places; what is
 * left out is zeros. Rejects with `fetch.truncated`, `fetch.corrupt`.
 */
export async function readStates(
  states: readonly MappedState[],
  put: (bytes: Buffer, at: number) => Promise<void>,
): Promise<void> {
  const { virtualSize } = states[0]!.map;
  for (let at = 0; at < virtualSize; ) {
    const { end, found } = await find(states, at, virtualSize);
    const start = at;
    for (; found !== null && at < end; at += Math.min(MIB, end - at)) {
      const length = Math.min(MIB, end - at);
      await put(await readExact(found.source, found.offset + at - start, length, 'a block'), at);
    }
    at = end;
  }
}

/** Finds the newest state that has the bytes at `at`; `found` is null for zeros. */
async function find(
  states: readonly MappedState[],
  at: number,
  limit: number,
): Promise<{ end: number; found: { source: ByteSource; offset: number } | null }> {
  let end = limit;
  for (const { map, source } of states) {
    // A disk may have been made larger after the older state was frozen.
    if (at >= map.virtualSize) break;
    const run = await map.runAt(at, Math.min(end, map.virtualSize));
    end = run.end;
    if (run.from === 'zeros') break;
    if (run.from !== 'parent') return { end, found: { source, offset: run.from } };
  }
  return { end, found: null };
}

const PAGE = 64 * 1024;

/** Reads a table in pieces of 64 KiB, of which it keeps the last one: maps are read from front to back. */
export class TablePages {
  readonly #source: ByteSource;
  readonly #table: { offset: number; length: number; what: string };
  #page: Buffer = Buffer.alloc(0);
  #start = -1;

  constructor(source: ByteSource, table: { offset: number; length: number; what: string }) {
    this.#source = source;
    this.#table = table;
  }

  /** Returns `length` bytes at `at` of the table, which must not cross a multiple of 64 KiB. */
  async read(at: number, length: number): Promise<Buffer> {
    const start = at - (at % PAGE);
    if (start !== this.#start) {
      const { offset, length: whole, what } = this.#table;
      this.#page = await readExact(this.#source, offset + start, Math.min(PAGE, whole - start), what);
      this.#start = start;
    }
    return this.#page.subarray(at - start, at - start + length);
  }
}

/** Returns the value of a bit, and where the run of bits of the same value ends, at `limit` at the latest. */
export function bitRun(
  first: number,
  limit: number,
  isSet: (bit: number) => boolean,
): { value: boolean; end: number } {
  const value = isSet(first);
  let end = first + 1;
  while (end < limit && isSet(end) === value) end += 1;
  return { value, end };
}
