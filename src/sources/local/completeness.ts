import type { ImageFile, Layer } from '../../disk/chain.js';
import { withImage } from '../../disk/file-source.js';
import { completenessOf } from '../../disk/read-image.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { printable } from '../../text/escape-terminal.js';

/**
 * Checks that all bytes of every layer are there, by the formats' own tables. Returns the bytes of the disk that each layer holds, newest first; null where its
 * format does not tell. Rejects with `fetch.truncated`.
 */
export async function checkWhole(
  layers: readonly Layer[],
  directory: string,
  signal: AbortSignal,
): Promise<(number | null)[]> {
  const allocated: (number | null)[] = [];
  for (const layer of layers) {
    const flat = layer.image.extents.some(({ type }) => type === 'flat');
    let sum = 0;
    let known = !flat;
    for (const file of [layer.file, ...sparseExtents(layer)]) {
      signal.throwIfAborted();
      const bytes = await checkFile(file, directory, signal);
      if (bytes === null) known = false;
      sum += bytes ?? 0;
    }
    allocated.push(known ? sum : null);
  }
  return allocated;
}

/** Flat extents have no tables; their sizes were compared with the descriptor when the chain was assembled. */
function sparseExtents(layer: Layer): ImageFile[] {
  return layer.extents.filter((_file, index) => layer.image.extents[index]!.type === 'sparse');
}

async function checkFile(file: ImageFile, directory: string, signal: AbortSignal): Promise<number | null> {
  const result = await withImage(directory, file, (source) => completenessOf(file, source), signal);
  if (result.complete) return result.allocated;
  throw new Hyper2kvmError('fetch.truncated', `${printable(file.name)} is not whole: ${result.reason}`, {
    advice: 'Copy the file again and compare its size and checksum with the original.',
  });
}
