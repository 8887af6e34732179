import { corrupt, readExact } from './bytes.js';
import type { ByteSource } from './format.js';

/** A run of data of a sparse member: `length` bytes at `offset` of the archive, which belong at `at` of the file. */
export interface SparsePart {
  at: number;
  offset: number;
  length: number;
}

const BLOCK = 512;
const ENTRY = 24;
/** A disk of 1 TiB with a hole in every MiB. */
const MAX_PARTS = 2 ** 20;

/**
 * Reads the map of a sparse member in GNU tar's old format, in which `tar --format=oldgnu -S` writes and Google
 * Cloud exports disks (GNU tar manual, "Storing Sparse Files"): four runs in the header, 21 in each block after
 * it. `at` is where the blocks after the header begin, `stored` the member's bytes in the archive; `number`
 * reads a field. Returns the file's size, its runs, and where the member's data begin. Throws `fetch.corrupt`.
 */
export async function readSparseMap(
  source: ByteSource,
  header: Buffer,
  { at, stored, number }: { at: number; stored: number; number(field: Buffer): number },
): Promise<{ size: number; parts: SparsePart[]; dataAt: number }> {
  const size = number(header.subarray(483, 495));
  const runs = runsOf(header.subarray(386, 482), number);
  let dataAt = at;
  for (let more = header[482] !== 0; more; dataAt += BLOCK) {
    if (runs.length > MAX_PARTS)
      throw corrupt('a sparse member of the archive has more parts than any real one');
    const block = await readExact(source, dataAt, BLOCK, 'the map of a sparse member');
    runs.push(...runsOf(block.subarray(0, 21 * ENTRY), number));
    more = block[504] !== 0;
  }
  const parts: SparsePart[] = [];
  let offset = dataAt;
  let end = 0;
  for (const run of runs) {
    // Whatever comes after the file's last data is a run of nothing at its end.
    if (run.at < end || run.at + run.length > size)
      throw corrupt('the map of a sparse member contradicts itself');
    if (run.length > 0) parts.push({ ...run, offset });
    offset += Math.ceil(run.length / BLOCK) * BLOCK;
    end = run.at + run.length;
  }
  if (offset !== dataAt + Math.ceil(stored / BLOCK) * BLOCK)
    throw corrupt('the map of a sparse member does not fit the data that the archive has of it');
  return { size, parts, dataAt };
}

function runsOf(bytes: Buffer, number: (field: Buffer) => number): { at: number; length: number }[] {
  const runs = [];
  for (let entry = 0; entry < bytes.length; entry += ENTRY) {
    // The list ends with the first entry that is empty.
    if (bytes[entry + 12] === 0) break;
    runs.push({
      at: number(bytes.subarray(entry, entry + 12)),
      length: number(bytes.subarray(entry + 12, entry + ENTRY)),
    });
  }
  return runs;
}
