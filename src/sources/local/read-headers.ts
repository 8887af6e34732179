import type { DropFile, ImageFile } from '../../disk/assemble.js';
import { isArchive } from '../../disk/base/archive-names.js';
import { rememberEnds } from '../../disk/base/bytes.js';
import type { DiskImage } from '../../disk/base/format.js';
import { NameIndex } from '../../disk/base/names.js';
import { compressionIn } from '../../disk/compression.js';
import { withBytes } from '../../disk/file-source.js';
import { parseRaw } from '../../disk/raw.js';
import { type ReadOptions, readImageFile } from '../../disk/read-image.js';
import { readVhdx } from '../../disk/vhdx/index.js';
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
    const options: ReadOptions = { anyRaw, format: formats.get(file.name) ?? null };
    const found = await withBytes(file.bytes, places, async (bytes) => {
      const source = rememberEnds(bytes);
      const packed = await compressionIn(file.name, source);
      if (packed !== null && isArchive(packed.inner)) return { image: null, check: null, error: null };
      return packed ?? (await readImageFile(file.name, source, options));
    });
    let read: ImageFile;
    if ('compression' in found) {
      const { inner: name, compression } = found;
      const unpacked = await unpacker.unpack(file, compression.name, places);
      const header = await withBytes(unpacked.bytes, places, (source) =>
        readImageFile(name, source, options),
      );
      read = { name, ...unpacked, ...header };
    } else read = { ...file, ...found };
    const { image } = read;
    images.push(image?.isCopied ? await copiedOut(read, image, { places, unpacker }) : read);
  }
  refuseSameNames(images);
  return images;
}

/** The plain disk in an image that QEMU does not read. */
async function copiedOut(
  file: DropFile,
  { virtualSize: size }: DiskImage,
  { places, unpacker }: { places: Inventory['places']; unpacker: Unpacker },
): Promise<ImageFile> {
  const copy = await unpacker.make(
    {
      name: file.name,
      from: [file],
      size,
      fill: (put) => withBytes(file.bytes, places, (source) => readVhdx(source, put)),
    },
    places,
  );
  const { image, check } = await withBytes(copy.bytes, places, (source) => parseRaw(source, 'vhdx'));
  return { name: file.name, ...copy, image: { ...image, sectorSize: 4096 }, check, error: null };
}

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
