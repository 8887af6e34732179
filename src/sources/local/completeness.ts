import type { Assembled, ImageFile } from '../../disk/assemble.js';
import type { Completeness } from '../../disk/base/format.js';
import { type Places, pathOf, withBytes } from '../../disk/file-source.js';
import { inFile } from '../../disk/read-image.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { usedBytes } from '../../files/space.js';
import type { Layer } from '../../model/storage.js';

/**
 * Checks against the formats' own tables that a disk's files are complete. Each file is checked once, however
 * many disks build on it.
 */
export class CompletenessCheck {
  readonly #places: Places;
  readonly #done = new Map<ImageFile, Promise<number | null>>();

  constructor(places: Places) {
    this.#places = places;
  }

  /**
   * Returns the layer with the extents of its data. `prefix` turns names into those that the owner knows.
   * Rejects with `fetch.truncated`, `fetch.corrupt`.
   */
  async layerOf({ file, image, extents }: Assembled, prefix: string, signal: AbortSignal): Promise<Layer> {
    let allocated: number | null = 0;
    // Flat extents have no tables; their sizes were compared with the descriptor when the chain was
    // assembled.
    if (image.extents.some(({ type }) => type === 'flat')) allocated = null;
    const sparse = extents.filter((_extent, index) => image.extents[index]!.type !== 'flat');
    for (const part of [file, ...sparse]) {
      signal.throwIfAborted();
      const bytes = await this.#check(part, signal);
      allocated = allocated === null || bytes === null ? null : allocated + bytes;
    }
    return {
      name: prefix + file.name,
      format: image.format,
      virtual_size: image.virtualSize,
      content_id: image.contentId,
      ...(image.uuid === undefined ? {} : { uuid: image.uuid }),
      bytes: file.bytes,
      footer: image.footer === true,
      ...(image.sectorSize === undefined ? {} : { sector_size: image.sectorSize }),
      extents: image.extents.map(({ type, size, offset }, index) => {
        const { name, bytes } = extents[index]!;
        return { name: prefix + name, type, size, offset, bytes };
      }),
      allocated,
      used_bytes: allocated ?? (await this.#onDisk([file, ...extents])),
    };
  }

  #check(file: ImageFile, signal: AbortSignal): Promise<number | null> {
    const known = this.#done.get(file);
    if (known !== undefined) return known;
    const result = allocatedIn(file, this.#places, signal);
    this.#done.set(file, result);
    return result;
  }

  async #onDisk(files: readonly ImageFile[]): Promise<number> {
    const sizes = await Promise.all(files.map(({ bytes }) => usedBytes(pathOf(bytes, this.#places))));
    return sizes.reduce((sum, size) => sum + size, 0);
  }
}

/** Returns how many bytes of the disk the file holds, or null if its format does not tell. */
async function allocatedIn(file: ImageFile, places: Places, signal: AbortSignal): Promise<number | null> {
  const { check } = file;
  if (check === null) return null;
  const result = await withBytes(file.bytes, places, check, signal).catch((error: unknown) => {
    throw error instanceof Hyper2kvmError ? inFile(file.name, error) : error;
  });
  if (result.complete) return result.allocated;
  throw notWhole(file.name, result);
}

function notWhole(name: string, { reason }: Extract<Completeness, { complete: false }>): Hyper2kvmError {
  return inFile(name, new Hyper2kvmError('fetch.truncated', `the file is incomplete: ${reason}`));
}
