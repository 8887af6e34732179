import { Hyper2kvmError } from '../errors/error.js';
import type { FileBytes } from '../model/storage.js';
import { printable } from '../text/escape-terminal.js';
import { corrupt, truncated, unsupported } from './base/bytes.js';
import type { DiskImage } from './base/format.js';
import { compareNames, isPath, NameIndex, referencedName, refusedReference } from './base/names.js';
import { formatOfExtension } from './formats.js';
import { isFlatName, type ReadImage } from './read-image.js';

/** A file of a drop, or a member of its archive. */
export interface DropFile {
  /** Plain name inside the drop's directory, or inside its archive. */
  name: string;
  /** Bytes. */
  size: number;
  bytes: FileBytes;
  /** Its container says that it is a disk, whatever it looks like: a guest decides about its content. */
  isDisk?: true;
}

/** A file of a drop and the contents of its header. */
export type ImageFile = DropFile & ReadImage;

/**
 * One state of a disk as assembled from the headers: its own file and the extents that it names, in disk
 * order.
 */
export interface Assembled {
  file: ImageFile;
  image: DiskImage;
  /** Verified files of `image.extents`, in the same order. */
  extents: ImageFile[];
}

export interface Assembly {
  files: ReadonlyMap<string, ImageFile>;
  names: NameIndex;
  /** Files that are listed as an extent by a descriptor. */
  pieces: Set<string>;
  images: Map<string, Assembled>;
  parents: Map<string, string>;
}

/**
 * Assembles the images of one VM: descriptors with their extents, children with their parents, matched by the
 * names of files in the drop and checked by size and content id. Pure. Throws `fetch.missing-extent`,
 * `fetch.missing-descriptor`, `fetch.missing-parent`, `fetch.parent-mismatch`, `fetch.refused-reference`,
 * `fetch.truncated`, `fetch.corrupt`, and the error for which a file's own header was refused.
 */
export function assemble(files: readonly ImageFile[]): Assembly {
  const assembly: Assembly = {
    files: new Map(files.map((file) => [file.name, file])),
    names: new NameIndex(files.map(({ name }) => name)),
    pieces: new Set(),
    images: new Map(),
    parents: new Map(),
  };
  const sorted = [...files].sort((a, b) => compareNames(a.name, b.name));
  // If the VM's own directory has disks, those in subdirectories may be anything, such as old copies or
  // another VM.
  const hasOwn = sorted.some(({ name, image }) => image !== null && !isBelow(name));
  const [own, aside] = hasOwn
    ? [sorted.filter(({ name }) => !isBelow(name)), sorted.filter(({ name }) => isBelow(name))]
    : [sorted, []];
  for (const file of own) addImage(file, assembly);
  for (const file of aside) {
    try {
      addImage(file, assembly);
    } catch (error) {
      if (!(error instanceof Hyper2kvmError)) throw error;
    }
  }
  for (const file of own) refuseLeftover(file, assembly);
  for (const file of aside) refuseNewerState(file, assembly);
  const byContentId = new Map<string | null, Assembled[]>();
  for (const layer of assembly.images.values()) {
    const sameId = byContentId.get(layer.image.contentId);
    if (sameId === undefined) byContentId.set(layer.image.contentId, [layer]);
    else sameId.push(layer);
  }
  for (const layer of assembly.images.values()) {
    if (layer.image.parent === null) continue;
    const alike = byContentId.get(layer.image.parent.contentId) ?? [];
    assembly.parents.set(layer.file.name, parentOf(layer, alike, assembly).file.name);
  }
  return assembly;
}

function isBelow(name: string): boolean {
  return name.includes('/');
}

function addImage(file: ImageFile, assembly: Assembly): void {
  if (file.image?.role === 'disk') assembly.images.set(file.name, withExtents(file, file.image, assembly));
}

function withExtents(file: ImageFile, image: DiskImage, assembly: Assembly): Assembled {
  const names = image.extents.map((extent) => assembly.names.find(extent.name, file.name));
  const missing = [
    ...new Set(image.extents.flatMap(({ name }, index) => (names[index] === null ? [name] : []))),
  ];
  const foreign = missing.find(isPath);
  if (foreign !== undefined) throw refusedReference(foreign, file.name, 'is not in the drop');
  if (missing.length > 0) {
    throw new Hyper2kvmError(
      'fetch.missing-extent',
      `${printable(file.name)} needs ${missing
        .slice(0, 8)
        .map((name) => printable(name))
        .join(
          ', ',
        )}${missing.length > 8 ? ` and ${missing.length - 8} more` : ''}, which ${missing.length === 1 ? 'is' : 'are'} not in the drop`,
    );
  }
  const used = new Set<string>();
  const extents = image.extents.map((extent, index) => {
    const piece = assembly.files.get(names[index]!)!;
    const label = `${printable(piece.name)} (an extent of ${printable(file.name)})`;
    if (piece === file) throw corrupt(`${printable(file.name)} names itself as its extent`);
    if (extent.type !== 'flat') {
      if (piece.error !== null) throw piece.error;
      if (
        piece.image === null ||
        piece.image.format !== 'vmdk' ||
        piece.image.extents.length > 0 ||
        piece.image.parent !== null
      )
        throw corrupt(`${label} has no sparse header`);
      if ((extent.type === 'sesparse') !== (piece.image.seSparse === true))
        throw corrupt(`${label} is in another format than the descriptor says`);
      if (piece.image.virtualSize !== extent.size)
        throw corrupt(
          `${label} holds ${piece.image.virtualSize} bytes of the disk, the descriptor says ${extent.size}`,
        );
      if (used.has(piece.name)) throw corrupt(`${label} is listed twice`);
      if (piece.image.footer)
        throw unsupported(
          `${label} is stream-optimized with its directory at the end`,
          'Convert it first: `vmware-vdiskmanager -r disk.vmdk -t 0 new.vmdk`, and drop the result.',
        );
    } else if (extent.offset + extent.size > piece.size) {
      throw truncated(`${label} has ${piece.size} bytes, ${extent.offset + extent.size} are needed`);
    }
    used.add(piece.name);
    return piece;
  });
  for (const name of used) {
    if (assembly.pieces.has(name)) throw corrupt(`${printable(name)} is an extent of two disks`);
    assembly.pieces.add(name);
  }
  return { file, image, extents };
}

/**
 * Checks the remaining files: one that no descriptor lists must be a disk by itself. Files that do not claim
 * to be disks are ignored.
 */
function refuseLeftover(file: ImageFile, assembly: Assembly): void {
  if (assembly.pieces.has(file.name)) {
    assembly.images.delete(file.name);
    return;
  }
  const claims = formatOfExtension(file.name) !== null;
  if (file.image?.role === 'extent' || (claims && file.image === null && isFlatName(file.name))) {
    throw new Hyper2kvmError(
      'fetch.missing-descriptor',
      `${printable(file.name)} is a piece of a disk, and no descriptor beside it lists it`,
    );
  }
  if (file.error !== null && claims) throw file.error;
}

/**
 * Refuses a subdirectory with a newer state that cannot be read, such as VirtualBox's `Snapshots`: without
 * it, an old state would be converted.
 */
function refuseNewerState(file: ImageFile, assembly: Assembly): void {
  if (assembly.pieces.has(file.name)) assembly.images.delete(file.name);
  if (file.error?.code === 'fetch.unsupported') throw file.error;
}

/** `sameId`: the layers with the content id of the parent. */
function parentOf(layer: Assembled, sameId: readonly Assembled[], assembly: Assembly): Assembled {
  const parent = layer.image.parent!;
  const child = layer.file.name;
  const name = parent.name === null ? null : assembly.names.find(parent.name, child);
  const named = name === null ? undefined : assembly.images.get(name);
  // For VMDK the name is only a hint: a renamed file is still recognised by its content id if no other file
  // has the same.
  const [only, another] = sameId.slice(0, 3).filter((other) => other !== layer);
  const found = named ?? (parent.contentId !== null && another === undefined ? only : undefined);
  if (found === undefined || found === layer) throw missingParent(layer);
  if (parent.contentId !== null && found.image.contentId !== parent.contentId) {
    throw new Hyper2kvmError(
      'fetch.parent-mismatch',
      `${printable(child)} was created from a parent with the id ${parent.contentId}, ${printable(found.file.name)} has ${found.image.contentId ?? 'none'}`,
    );
  }
  if (parent.format !== null && parent.format !== found.image.format)
    throw corrupt(
      `${printable(child)} says that its parent is ${printable(parent.format)}, ${printable(found.file.name)} is ${found.image.format}`,
    );
  // The other formats' disks may be made larger while they have snapshots.
  if (found.image.format === 'vmdk' && found.image.virtualSize !== layer.image.virtualSize)
    throw corrupt(`${printable(child)} and its parent ${printable(found.file.name)} differ in size`);
  return found;
}

function missingParent(layer: Assembled): Hyper2kvmError {
  const { name, contentId } = layer.image.parent!;
  const child = printable(layer.file.name);
  if (contentId === null && name !== null && isPath(name))
    return refusedReference(name, layer.file.name, 'is not in the drop');
  const facts = [
    ...(name === null ? [] : [printable(referencedName(name, layer.file.name))]),
    ...(contentId === null ? [] : [`id ${contentId}`]),
  ];
  return new Hyper2kvmError(
    'fetch.missing-parent',
    `${child} is a snapshot delta: its parent (${facts.join(', ')}) is not in the drop`,
  );
}
