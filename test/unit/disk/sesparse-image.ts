/** A part of a disk in whole grains of 4 KiB: its content; `zero` or `unmapped` hide what is below. */
export interface GrainWrite {
  offset: number;
  content: Buffer | 'zero' | 'unmapped';
}

export interface SeSparseForm {
  /** Places the last of the grains first in the file, as a disk that was written to backwards has them. */
  backwards?: boolean;
  /** Whether the journal holds changes that are not in the tables yet. Default 0: it does not. */
  journal?: bigint;
}

const SECTOR = 512;
const GRAIN = 4096;
const ENTRIES = 4096;

/**
 * Writes an seSparse extent of `size` bytes the way that ESXi lays it out: constant header, volatile header,
 * journal, grain directory, tables, free bitmap, back map, grains. Independent of the product's parser.
 */
export function seSparse(size: number, writes: readonly GrainWrite[], form: SeSparseForm = {}): Buffer {
  const grains = Math.ceil(size / GRAIN);
  const tables = Math.ceil(grains / ENTRIES);
  const directorySectors = Math.ceil((tables * 8) / SECTOR);
  const places = new Map<string, { start: number; length: number }>();
  let next = 4;
  for (const [name, length] of [
    ['journal', 8],
    ['directory', directorySectors],
    ['tables', tables * 64],
    ['bitmap', Math.ceil(grains / 8 / SECTOR)],
    ['backmap', Math.ceil((grains * 8) / SECTOR)],
    ['grains', grains * 8],
  ] as const) {
    next = Math.ceil(next / 8) * 8;
    places.set(name, { start: next, length });
    next += length;
  }
  const at = (name: string) => places.get(name)!.start * SECTOR;
  const whole = writes.flatMap(({ offset, content }): { grain: number; content: GrainWrite['content'] }[] => {
    if (offset % GRAIN !== 0) throw new Error('not at a grain');
    if (typeof content === 'string') return [{ grain: offset / GRAIN, content }];
    return Array.from({ length: Math.ceil(content.length / GRAIN) }, (_, index) => ({
      grain: offset / GRAIN + index,
      content: content.subarray(index * GRAIN, (index + 1) * GRAIN),
    }));
  });
  const stored = whole.filter(({ content }) => typeof content !== 'string').length;
  const bytes = Buffer.alloc(at('grains') + stored * GRAIN);
  const quads = (offset: number, values: readonly (bigint | number)[]) => {
    for (const [index, value] of values.entries()) bytes.writeBigUInt64LE(BigInt(value), offset + 8 * index);
  };
  const place = (name: string) => [places.get(name)!.start, places.get(name)!.length];
  quads(0, [0xcafebaben, 0x200000001n, size / SECTOR, 8, 64, 0, 0, 0, 0, 0]);
  quads(80, [1, 1, 2, 2, ...place('journal'), ...place('directory'), ...place('tables')]);
  quads(160, [...place('bitmap'), ...place('backmap'), ...place('grains')]);
  const used: number[] = [];
  let placed = 0;
  for (const { grain, content } of whole) {
    const index = Math.floor(grain / ENTRIES);
    if (!used.includes(index)) {
      quads(at('directory') + index * 8, [(1n << 60n) | BigInt(used.length)]);
      used.push(index);
    }
    const entry = at('tables') + used.indexOf(index) * ENTRIES * 8 + (grain % ENTRIES) * 8;
    if (typeof content === 'string') {
      quads(entry, [content === 'zero' ? 2n << 60n : 1n << 60n]);
      continue;
    }
    const slot = BigInt(form.backwards === true ? stored - 1 - placed : placed);
    content.copy(bytes, at('grains') + Number(slot) * GRAIN);
    quads(entry, [(3n << 60n) | ((slot & 0xfffn) << 48n) | (slot >> 12n)]);
    placed += 1;
  }
  quads(SECTOR, [0xcafecafen, used.length, 1, form.journal ?? 0n]);
  return bytes;
}
