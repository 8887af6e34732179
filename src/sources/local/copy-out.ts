import type { Assembled, ImageFile } from '../../disk/assemble.js';
import { corrupt, unsupported } from '../../disk/base/bytes.js';
import { type MappedState, readStates } from '../../disk/base/disk-map.js';
import { type Places, withBytes } from '../../disk/file-source.js';
import { formatByName } from '../../disk/formats.js';
import { parseRaw } from '../../disk/raw.js';
import { printable } from '../../text/escape-terminal.js';
import type { Unpacker } from './unpack.js';

/**
 * Returns a disk's states with those that QEMU does not read, and everything below them, replaced by one plain
 * copy in the work directory. A copy and not a server for the running stages: it is correct after any restart,
 * each program reads it as it reads any other file, and it holds only what the disk holds. Rejects with
 * `fetch.bomb`, `fetch.truncated`, `fetch.corrupt`, `fetch.unsupported`.
 */
export async function copyOut(
  states: readonly Assembled[],
  { places, unpacker }: { places: Places; unpacker: Unpacker },
): Promise<Assembled[]> {
  const first = states.findIndex(({ image }) => image.isCopied);
  if (first === -1) return [...states];
  const copied = states.slice(first);
  const [{ file, image }] = copied as [Assembled];
  if (copied.some((state) => state.image.sectorSize !== image.sectorSize))
    throw corrupt(`${printable(file.name)} and an older state of it have sectors of different sizes`);
  const copy = await unpacker.make(
    {
      name: file.name,
      from: copied.map((state) => state.file),
      size: image.virtualSize,
      fill: (put) => withMaps(copied, places, (maps) => readStates(maps, put)),
    },
    places,
  );
  const { image: plain, check } = await withBytes(copy.bytes, places, (source) =>
    parseRaw(source, image.format),
  );
  const { sectorSize } = image;
  const raw: ImageFile = {
    name: file.name,
    ...copy,
    image: { ...plain, ...(sectorSize === undefined ? {} : { sectorSize }) },
    check,
    error: null,
  };
  return [...states.slice(0, first), { file: raw, image: raw.image!, extents: [] }];
}

/** Opens all files of the states at once. */
async function withMaps(
  states: readonly Assembled[],
  places: Places,
  use: (maps: readonly MappedState[]) => Promise<void>,
  open: readonly MappedState[] = [],
): Promise<void> {
  const [state, ...older] = states;
  if (state === undefined) return use(open);
  const { map } = formatByName(state.image.format);
  if (map === undefined)
    throw unsupported(
      `${printable(state.file.name)} is a ${state.image.format} image that a differencing disk of another format builds on`,
      'Merge the snapshots with the hypervisor’s own tools, and drop the result.',
    );
  await withBytes(state.file.bytes, places, async (source) =>
    withMaps(older, places, use, [...open, { source, map: await map(source) }]),
  );
}
