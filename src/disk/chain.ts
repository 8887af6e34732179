import { Hyper2kvmError } from '../errors/error.js';
import { printable } from '../text/escape-terminal.js';
import { corrupt, truncated } from './base/bytes.js';
import type { DiskImage } from './base/format.js';
import { compareNames, siblingName } from './base/names.js';
import { formatOfExtension } from './formats.js';

/** One file of a drop and what its header says. Exactly one of `image` and `error` may be set; neither: no image at all (a log, a VMX). */
export interface ImageFile {
  /** Plain name inside the drop's directory. */
  name: string;
  /** Bytes. */
  size: number;
  image: DiskImage | null;
  error: Hyper2kvmError | null;
  /** The sparse file's grain directory is in its footer: QEMU must open it directly (see vmdk/index.ts). */
  footer: boolean;
  /** A member of an archive: its bytes lie in `file` (beside it, in the same directory). */
  region?: { file: string; offset: number; size: number };
  /** Absolute path of the unpacked copy that holds its bytes: it, or the archive that it is a member of, came compressed. */
  unpacked?: string;
  /** The compressed file that it was unpacked from, as a manifest knows it. */
  packed?: Pick<ImageFile, 'name' | 'region' | 'size' | 'unpacked'>;
}

/** One state of a disk: its own file and the extents that it names, in disk order. */
export interface Layer {
  file: ImageFile;
  image: DiskImage;
  /** Verified files of `image.extents`, same order. */
  extents: ImageFile[];
}
/** A disk: newest layer first, the last one has no parent. */
export interface Chain {
  layers: Layer[];
}

interface Assembly {
  files: ReadonlyMap<string, ImageFile>;
  /** Files that are a piece of some descriptor. */
  pieces: Set<string>;
  layers: Map<string, Layer>;
  parents: Map<string, string>;
}

/**
 * Puts the images of one VM together: descriptors with their extents, children with their parents, all by plain sibling names and checked
 * by size and content id. Pure. Throws `fetch.missing-extent`, `fetch.missing-descriptor`, `fetch.missing-parent`, `fetch.parent-mismatch`,
 * `fetch.refused-reference`, `fetch.truncated`, `fetch.corrupt`, and whatever a file's own header was refused for.
 */
export function assemble(files: readonly ImageFile[]): Assembly {
  const assembly: Assembly = {
    files: new Map(files.map((file) => [file.name, file])),
    pieces: new Set(),
    layers: new Map(),
    parents: new Map(),
  };
  const sorted = [...files].sort((a, b) => compareNames(a.name, b.name));
  for (const file of sorted) {
    if (file.image?.role === 'disk') assembly.layers.set(file.name, layerOf(file, file.image, assembly));
  }
  for (const file of sorted) refuseLeftover(file, assembly);
  const byContentId = new Map<string | null, Layer[]>();
  for (const layer of assembly.layers.values()) {
    const sameId = byContentId.get(layer.image.contentId);
    if (sameId === undefined) byContentId.set(layer.image.contentId, [layer]);
    else sameId.push(layer);
  }
  for (const layer of assembly.layers.values()) {
    if (layer.image.parent === null) continue;
    const alike = byContentId.get(layer.image.parent.contentId) ?? [];
    assembly.parents.set(layer.file.name, parentOf(layer, alike, assembly).file.name);
  }
  return assembly;
}

function layerOf(file: ImageFile, image: DiskImage, assembly: Assembly): Layer {
  const names = image.extents.map((extent) => siblingName(extent.name, 'exact', file.name));
  const missing = [...new Set(names.filter((name) => !assembly.files.has(name)))];
  if (missing.length > 0) {
    throw new Hyper2kvmError(
      'fetch.missing-extent',
      `${printable(file.name)} needs ${missing
        .slice(0, 8)
        .map((name) => printable(name))
        .join(
          ', ',
        )}${missing.length > 8 ? ` and ${missing.length - 8} more` : ''}, which ${missing.length === 1 ? 'is' : 'are'} not there`,
      {
        advice: 'Copy all of the disk’s files into the drop: the descriptor and every extent that it lists.',
      },
    );
  }
  const used = new Set<string>();
  const extents = image.extents.map((extent, index) => {
    const piece = assembly.files.get(names[index]!)!;
    const label = `${printable(piece.name)} (an extent of ${printable(file.name)})`;
    if (piece === file) throw corrupt(`${printable(file.name)} names itself as its extent`);
    if (extent.type === 'sparse') {
      if (piece.error !== null) throw piece.error;
      if (
        piece.image === null ||
        piece.image.format !== 'vmdk' ||
        piece.image.extents.length > 0 ||
        piece.image.parent !== null
      )
        throw corrupt(`${label} has no sparse header`);
      if (piece.image.virtualSize !== extent.size)
        throw corrupt(
          `${label} holds ${piece.image.virtualSize} bytes of the disk, the descriptor says ${extent.size}`,
        );
      if (used.has(piece.name)) throw corrupt(`${label} is listed twice`);
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

/** What is no piece of anything must stand on its own; files that do not claim to be disks are passed over. */
function refuseLeftover(file: ImageFile, assembly: Assembly): void {
  if (assembly.pieces.has(file.name)) {
    assembly.layers.delete(file.name);
    return;
  }
  const claims = formatOfExtension(file.name) !== null;
  if (file.image?.role === 'extent' || (claims && file.image === null && isFlatName(file.name))) {
    throw new Hyper2kvmError(
      'fetch.missing-descriptor',
      `${printable(file.name)} is a piece of a disk, and no descriptor beside it lists it`,
      {
        advice:
          'Copy the small text file of the same name without -flat, -s001 or -delta (the descriptor) into the drop.',
      },
    );
  }
  if (file.error !== null && claims) throw file.error;
}

export function isFlatName(name: string): boolean {
  return /-(flat|f\d{3,}|rdm|rdmp)\.vmdk$/i.test(name);
}

/** `sameId`: the layers with the content id of the parent. */
function parentOf(layer: Layer, sameId: readonly Layer[], assembly: Assembly): Layer {
  const parent = layer.image.parent!;
  const child = layer.file.name;
  const named =
    parent.name === null ? undefined : assembly.layers.get(siblingName(parent.name, 'hint', child));
  // The name is only a hint for VMDK: a file that was renamed is still known by its content id, where only one has it.
  const [only, another] = sameId.slice(0, 3).filter((other) => other !== layer);
  const found = named ?? (parent.contentId !== null && another === undefined ? only : undefined);
  if (found === undefined || found === layer) throw missingParent(layer);
  if (parent.contentId !== null && found.image.contentId !== parent.contentId) {
    throw new Hyper2kvmError(
      'fetch.parent-mismatch',
      `${printable(child)} was made on a parent with CID ${parent.contentId}, ${printable(found.file.name)} has ${found.image.contentId ?? 'none'}`,
      {
        advice:
          'The parent was changed after the snapshot, or is another VM’s: copy both files again while the VM is off.',
      },
    );
  }
  if (parent.format !== null && parent.format !== found.image.format)
    throw corrupt(
      `${printable(child)} says that its parent is ${printable(parent.format)}, ${printable(found.file.name)} is ${found.image.format}`,
    );
  if (parent.contentId !== null && found.image.virtualSize !== layer.image.virtualSize)
    throw corrupt(`${printable(child)} and its parent ${printable(found.file.name)} differ in size`);
  return found;
}

function missingParent(layer: Layer): Hyper2kvmError {
  const { name, contentId } = layer.image.parent!;
  const child = printable(layer.file.name);
  const isPath = name !== null && /[/\\]/.test(name);
  if (contentId === null && isPath) {
    return new Hyper2kvmError(
      'fetch.refused-reference',
      `${child} builds on “${printable(name)}”, which is not in the drop`,
      {
        advice: 'Only files that lie beside the image are read: copy its backing file into the drop, too.',
      },
    );
  }
  const what =
    name === null ? 'a parent without a name' : printable(siblingName(name, 'hint', layer.file.name));
  return new Hyper2kvmError(
    'fetch.missing-parent',
    `${child} is a snapshot delta: its parent ${what}${contentId === null ? '' : ` (CID ${contentId})`} is not in the drop`,
    {
      advice:
        'Drop the whole chain: the base disk and every delta. A delta alone holds only what was changed.',
    },
  );
}

/** From `leaf` down to the base. Throws `flatten.chain-too-deep`, and `fetch.corrupt` for a loop. */
export function chainOf(leaf: string, assembly: Assembly, maxDepth: number): Chain {
  const layers: Layer[] = [];
  const seen = new Set<string>();
  for (let name: string | undefined = leaf; name !== undefined; name = assembly.parents.get(name)) {
    if (seen.has(name)) throw corrupt(`the chain of ${printable(leaf)} comes back to ${printable(name)}`);
    seen.add(name);
    layers.push(assembly.layers.get(name)!);
    if (layers.length > maxDepth) {
      throw new Hyper2kvmError(
        'flatten.chain-too-deep',
        `the chain of ${printable(leaf)} has more than ${maxDepth} files`,
        {
          advice: 'Consolidate the snapshots on the old hypervisor, or raise flatten.max_chain_depth.',
        },
      );
    }
  }
  return { layers };
}

/**
 * The newest states: images that no other one builds on, in the order of their names. Throws `fetch.several-leaves` where two of them share an
 * ancestor (two branches of one disk).
 */
export function leavesOf(assembly: Assembly): string[] {
  const inner = new Set(assembly.parents.values());
  const leaves = [...assembly.layers.keys()].filter((name) => !inner.has(name)).sort(compareNames);
  const owner = new Map<string, string>();
  for (const leaf of leaves) {
    for (const { file } of chainOf(leaf, assembly, assembly.layers.size).layers) {
      const other = owner.get(file.name);
      if (other !== undefined) {
        throw new Hyper2kvmError(
          'fetch.several-leaves',
          `${printable(other)} and ${printable(leaf)} are both newest states of the same disk (both build on ${printable(file.name)})`,
          {
            advice:
              'Add the VM’s .vmx, which says which one is in use, or drop only the chain that you want.',
          },
        );
      }
      owner.set(file.name, leaf);
    }
  }
  if (leaves.length === 0 && assembly.layers.size > 0)
    throw corrupt('every image builds on another one: the chain is a loop');
  return leaves;
}

export type { Assembly };
