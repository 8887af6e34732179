import type { Assembly } from '../../disk/assemble.js';
import { isPath, refusedReference } from '../../disk/base/names.js';
import { chainOf, leavesOf } from '../../disk/chain.js';
import { innerName } from '../../disk/compression.js';
import { withBytes } from '../../disk/file-source.js';
import { foreignContent } from '../../disk/foreign.js';
import { formatOfExtension } from '../../disk/formats.js';
import { BLANK } from '../../disk/read-image.js';
import { Hyper2kvmError } from '../../errors/error.js';
import { printable } from '../../text/escape-terminal.js';
import { type FoundDescription, readFrozen } from './description.js';
import type { Inventory } from './inventory.js';

/** A disk of the VM: the image with its current state, or an empty disk that has to be created. */
export type ChosenDisk = { controller: string | null } & ({ name: string } | { capacity: number });

/**
 * Decides which images are the VM's disks, and in which order: those of the description, otherwise the newest
 * state of each. An empty disk as the only one is accepted for a data job only. Rejects with
 * `fetch.missing-disk`, `fetch.missing-delta`, `fetch.no-disk`, `fetch.several-leaves`,
 * `fetch.unknown-format`.
 */
export async function chooseDisks(
  inventory: Inventory,
  assembly: Assembly,
  description: FoundDescription | null,
  kind: 'vm' | 'data',
): Promise<ChosenDisk[]> {
  const isDescribed = description !== null && description.disks.length > 0;
  const disks = isDescribed
    ? describedDisks(description, assembly, inventory)
    : newestImages(assembly, await readFrozen(inventory));
  const [first] = disks;
  if (first === undefined) throw await noDisk(inventory, assembly);
  const isBlank = (disk: ChosenDisk) =>
    'capacity' in disk || assembly.images.get(disk.name)!.image.variant === BLANK;
  if (kind === 'vm' && disks.every(isBlank)) {
    const name = 'name' in first ? printable(first.name) : 'the only disk';
    throw new Hyper2kvmError(
      'fetch.unknown-format',
      `${name} starts with zeros: no partition table, no filesystem`,
    );
  }
  return disks;
}

/**
 * Returns the newest images. A drop without them is refused: an older state would convert without anyone
 * noticing.
 */
function newestImages(assembly: Assembly, frozen: readonly string[]): ChosenDisk[] {
  const leaves = leavesOf(assembly);
  const inOwnFolder = leaves.filter((name) =>
    chainOf(name, assembly, assembly.images.size).some(({ file }) => !file.name.includes('/')),
  );
  return (inOwnFolder.length > 0 ? inOwnFolder : leaves).map((name) => {
    if (!frozen.includes(name)) return { name, controller: null };
    throw new Hyper2kvmError(
      'fetch.missing-delta',
      `${printable(name)} was frozen by a snapshot (according to the .vmsd or .vbox), and the delta with later changes is not in the drop`,
    );
  });
}

/**
 * Returns the disks that a .vmx names. It has the state of each disk that is in use, which after going back
 * to a snapshot is not always the newest.
 */
function describedDisks(
  description: FoundDescription,
  assembly: Assembly,
  { files }: Inventory,
): ChosenDisk[] {
  return description.disks.map(({ controller, file, capacity }) => {
    if (file === null) return { controller, capacity: capacity! };
    const name = assembly.names.find(innerName(file), description.file);
    if (name !== null && assembly.images.has(name)) return { name, controller };
    const error = name === null ? undefined : assembly.files.get(name)?.error;
    if (error) throw error;
    if (name === null && isPath(file)) throw refusedReference(file, description.file, 'is not in the drop');
    const split = splitFile(files.map(({ path }) => path));
    if (split !== null) throw split;
    throw new Hyper2kvmError(
      'fetch.missing-disk',
      `${printable(description.file)} has ${printable(file)}${controller === null ? '' : ` at ${controller}`}, which is not in the drop`,
    );
  });
}

/** What split(1), 7-Zip and others put behind the name of a file that they cut: `.aa`, `.001`, `.partaa`. */
const CUT = /^(.+?)\.?(?:part)?(?:[a-z]{2,3}|\d{2,4})$/;

function splitFile(paths: readonly string[]): Hyper2kvmError | null {
  const wholes = new Map<string, string[]>();
  for (const path of paths) {
    const [, whole = ''] = CUT.exec(path) ?? [];
    if (formatOfExtension(innerName(whole)) === null) continue;
    wholes.set(whole, [...(wholes.get(whole) ?? []), path]);
  }
  const [found] = [...wholes].filter(([, pieces]) => pieces.length > 1);
  if (found === undefined) return null;
  const [whole, pieces] = found;
  return new Hyper2kvmError(
    'fetch.split-file',
    `${printable(whole)} was cut into ${pieces.length} files (${printable(pieces[0]!)}, …)`,
    {
      advice:
        'Nothing in them says how many there were. Join them in their order (`cat FILE.* > FILE`), compare the checksum, and drop the whole.',
    },
  );
}

/** What the largest file is, where that tells why there is no disk. */
async function foreignFile({ members, places }: Inventory): Promise<Hyper2kvmError | null> {
  const [largest] = [...members].sort((a, b) => b.size - a.size);
  if (largest === undefined) return null;
  const found = await withBytes(largest.bytes, places, foreignContent);
  if (found === null) return null;
  return new Hyper2kvmError(
    'fetch.no-disk',
    `no disk image in the drop: ${printable(largest.name)} ${found.what}`,
    { advice: found.advice ?? 'Put the disk’s files into the dropped directory.' },
  );
}

async function noDisk(inventory: Inventory, assembly: Assembly): Promise<Hyper2kvmError> {
  const { files } = inventory;
  const split = splitFile(files.map(({ path }) => path));
  if (split !== null) return split;
  const refused = [...assembly.files.values()].find(
    ({ name, error }) => error !== null && !assembly.pieces.has(name),
  );
  if (refused?.error) return refused.error;
  const other = await foreignFile(inventory);
  if (other !== null) return other;
  const names = files.slice(0, 5).map(({ path }) => printable(path));
  return new Hyper2kvmError(
    'fetch.no-disk',
    `no disk image in the drop (${names.join(', ')}${files.length > 5 ? ', …' : ''})`,
  );
}
