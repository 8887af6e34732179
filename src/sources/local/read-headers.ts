import type { DropFile, ImageFile } from '../../disk/assemble.js';
import { isArchive } from '../../disk/base/archive-names.js';
import { rememberEnds } from '../../disk/base/bytes.js';
import { NameIndex } from '../../disk/base/names.js';
import { compressionIn } from '../../disk/compression.js';
import { withBytes } from '../../disk/file-source.js';
import { parseRaw } from '../../disk/raw.js';
import { type ReadOptions, readImageFile } from '../../disk/read-image.js';
import { Hyper2kvmError } from '../../errors/error.js';
import type { DescribedDisk } from '../../model/description.js';
import { printable } from '../../text/escape-terminal.js';
import type { FoundDescription } from './description.js';
import type { Inventory } from './inventory.js';
import type { Unpacker } from './unpack.js';

export interface HeaderOptions {
  anyRaw: boolean;
  unpacker: Unpacker;
  description: FoundDescription | null;
  signal: AbortSignal;
}

/**
 * Reads the header of every member, of a compressed one that of its content. A refusal is kept in `error`,
 * because it only matters for a member that becomes a disk. Rejects with the errors of unpacking, and with
 * `fetch.corrupt`.
 */
export async function readHeaders(
  { members, places }: Inventory,
  { anyRaw, unpacker, description, signal }: HeaderOptions,
): Promise<ImageFile[]> {
  const formats = describedFormats(members, description);
  const images: ImageFile[] = [];
  for (const file of members) {
    signal.throwIfAborted();
    if (file.isDisk) {
      const { image } = await withBytes(file.bytes, places, (source) => parseRaw(source, 'container'));
      images.push({ ...file, image, check: WHOLE, error: null });
      continue;
    }
    const options: ReadOptions = { anyRaw, format: formats.get(file.name) ?? null };
    const found = await withBytes(file.bytes, places, async (bytes) => {
      const source = rememberEnds(bytes);
      const packed = await compressionIn(file.name, source);
      if (packed !== null && isArchive(packed.inner)) return { image: null, check: null, error: null };
      return packed ?? (await readImageFile(file.name, source, options));
    });
    if (!('compression' in found)) {
      images.push({ ...file, ...found });
      continue;
    }
    const { inner: name, compression } = found;
    const unpacked = await unpacker.unpack(file, compression.name, places);
    const header = await withBytes(unpacked.bytes, places, (source) => readImageFile(name, source, options));
    images.push({ name, ...unpacked, ...header });
  }
  refuseSameNames(images);
  return images;
}

/** It was taken out of its container as a whole. */
const WHOLE = async () => ({ complete: true as const, allocated: null });

/** Returns the formats that the description declares, by member name. */
function describedFormats(
  members: readonly DropFile[],
  description: FoundDescription | null,
): Map<string, DescribedDisk['format']> {
  const names = new NameIndex(members.map(({ name }) => name));
  return new Map(
    description?.disks.flatMap(({ file, format }) => {
      const name = file === null || format === null ? null : names.find(file, description.file);
      return name === null ? [] : [[name, format]];
    }),
  );
}

function refuseSameNames(images: readonly ImageFile[]): void {
  const names = new Set<string>();
  for (const { name } of images) {
    if (names.has(name))
      throw new Hyper2kvmError(
        'fetch.corrupt',
        `${printable(name)} is in the drop twice, compressed and uncompressed`,
        {
          advice: 'Drop only one of them.',
        },
      );
    names.add(name);
  }
}
