import type { DropFile } from '../../disk/assemble.js';
import { isArchive } from '../../disk/base/archive-names.js';
import { NameIndex } from '../../disk/base/names.js';
import { pieceName, pieceOf } from '../../disk/base/pieces.js';
import { innerName } from '../../disk/compression.js';
import { type Places, withBytes } from '../../disk/file-source.js';
import { formatOfExtension } from '../../disk/formats.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { printable } from '../../text/escape-terminal.js';
import type { FoundDescription } from './description.js';
import type { Inventory } from './inventory.js';
import type { MadeFile, Unpacker } from './unpack.js';

/**
 * Puts the files that came in pieces together, each once, in the work directory; the only piece of a file is
 * read where it is, under the whole's name. Returns all files as they then are, and the pieces, which a
 * manifest knows. Rejects with `fetch.missing-extent`, `fetch.truncated`.
 */
export async function joinPieces(
  files: readonly DropFile[],
  places: Places,
  unpacker: Unpacker,
): Promise<{ members: DropFile[]; pieces: DropFile[] }> {
  const names = new Set(files.map(({ name }) => name));
  const wholes = new Map<string, Map<number, DropFile>>();
  const members: DropFile[] = [];
  for (const file of files) {
    const piece = pieceOf(file.name);
    // A numbered file beside the whole is not a part of it.
    if (piece === null || names.has(piece.whole) || !isPieceOf(piece.whole, names)) {
      members.push(file);
      continue;
    }
    const known = wholes.get(piece.whole);
    if (known === undefined) wholes.set(piece.whole, new Map([[piece.number, file]]));
    else known.set(piece.number, file);
  }
  const pieces: DropFile[] = [];
  for (const [name, numbered] of wholes) {
    const inOrder = Array.from({ length: numbered.size }, (_, number) => numbered.get(number));
    const whole = checkPieces(name, inOrder);
    pieces.push(...whole);
    const [only, second] = whole;
    if (only !== undefined && second === undefined) members.push({ ...only, name });
    else members.push({ name, ...(await unpacker.make(joined(name, whole, places), places)) });
  }
  return { members, pieces };
}

/** True for a disk or archive, even if the first piece is missing, and for any other file with a first piece. */
function isPieceOf(whole: string, names: ReadonlySet<string>): boolean {
  const inner = innerName(whole);
  return formatOfExtension(inner) !== null || isArchive(inner) || names.has(pieceName(whole, 0));
}

const BLOCK_BYTES = 1024 * 1024;

function joined(name: string, from: readonly DropFile[], places: Places): MadeFile {
  return {
    name,
    from,
    size: from.reduce((sum, { size }) => sum + size, 0),
    async fill(put) {
      let start = 0;
      for (const piece of from) {
        await withBytes(piece.bytes, places, async (source) => {
          for (let at = 0; at < source.size; at += BLOCK_BYTES)
            await put(await source.read(at, Math.min(BLOCK_BYTES, source.size - at)), start + at);
        });
        start += piece.size;
      }
    },
  };
}

/** All pieces but the last have one size (DSP0243, `chunkSize`). */
function checkPieces(name: string, numbered: readonly (DropFile | undefined)[]): DropFile[] {
  const gap = numbered.indexOf(undefined);
  if (gap !== -1)
    throw new Hyper2kvmError(
      'fetch.missing-extent',
      `${printable(name)} came in pieces, of which ${printable(pieceName(name, gap))} is not there`,
      { advice: 'Copy all pieces of the disk into the drop.' },
    );
  const pieces = numbered as DropFile[];
  const chunk = pieces[0]!.size;
  const odd = pieces.find(({ size }, index) => (index === pieces.length - 1 ? size > chunk : size !== chunk));
  if (odd !== undefined)
    throw new Hyper2kvmError(
      'fetch.truncated',
      `${printable(odd.name)} has ${odd.size} bytes, the first piece of its disk has ${chunk}`,
      { advice: 'All pieces but the last are of one size: copy this one again.' },
    );
  return pieces;
}

/**
 * Compares what was put together with the sizes that the description has: a raw disk without its end looks
 * whole. Throws `fetch.truncated`.
 */
export function checkJoined(
  inventory: Pick<Inventory, 'members' | 'pieces'>,
  description: FoundDescription,
): void {
  if (inventory.pieces.length === 0) return;
  const sizes = new Map(inventory.members.map((file) => [file.name, file.size]));
  const names = new NameIndex(sizes.keys());
  for (const { file, size: wanted } of description.chunked ?? []) {
    const size = sizes.get(names.find(file, description.file) ?? '');
    if (size === undefined || size >= wanted) continue;
    throw new Hyper2kvmError(
      'fetch.truncated',
      `the pieces of ${printable(file)} have ${size} bytes, the .ovf says ${wanted}`,
      { advice: 'The last pieces are not in the drop: copy all of them.' },
    );
  }
}
