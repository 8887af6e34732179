import { join, relative } from 'node:path';
import { Hyper2kvmError } from '../errors/error.js';
import type { Chain, DiskBytes, Layer } from '../model/storage.js';
import { printable } from '../text/escape-terminal.js';
import { unsupported } from './base/bytes.js';
import { type Places, pathOf } from './file-source.js';
import { formatByName } from './formats.js';
import { type RenderedExtent, renderDescriptor } from './vmdk/render.js';

/** A node of QEMU's block layer (QAPI `BlockdevOptions`), with every driver named. */
type BlockNode = {
  driver: string;
  file: BlockNode | FileNode;
  backing?: BlockNode | null;
};
type FileNode =
  | { driver: 'file'; filename: string }
  | { driver: 'raw'; offset: number; size: number; file: FileNode };

/** What to create so that one empty overlay shows a whole chain. File names are in the work directory. */
export interface GraphPlan {
  /** Our own descriptors, to be written first. */
  descriptors: { file: string; text: string }[];
  /** Empty qcow2 overlays, to be created in this order; the last one is the flat disk. */
  overlays: { file: string; backing: string; backingFormat: string }[];
  /** Bytes, as in the newest layer. */
  virtualSize: number;
}

export interface GraphRequest {
  chain: Chain;
  places: Places;
  /** Name of the flat disk without suffix: `flat-disk0`. */
  prefix: string;
}

/** Limit on the backing file name in a qcow2 header (docs/interop/qcow2.txt). */
const MAX_BACKING_NAME = 1023;

/**
 * Plans the explicit block graph of a verified chain, in which no reference from a dropped header is
 * followed.
 *
 * - VMDK: QEMU's driver itself opens extents and parents by the names in the descriptor, and checks that a
 * parent is VMDK too. So it gets descriptors written by us, one for each layer, that name only verified files
 * and our next descriptor; the whole stack is then one short node. A file named in such a descriptor must
 * have a sparse header: if a text file is put in its place, it is not followed. Opened directly, with
 * `backing: null`, is only what QEMU cannot find otherwise: a single file with a footer, or inside an
 * archive.
 * - qcow2: nodes nested with an explicit `backing`. If the text gets longer than a qcow2 header can hold (a
 * deep chain, long paths), an empty overlay is inserted and the next layer builds on that.
 *
 * Throws `flatten.path-unusable` if a path cannot be written, `fetch.unsupported`.
 */
export function planGraph(request: GraphRequest): GraphPlan {
  const { chain, places, prefix } = request;
  const plan: GraphPlan = { descriptors: [], overlays: [], virtualSize: chain.layers[0]!.virtual_size };
  const layers = [...chain.layers.entries()].reverse();
  let node: BlockNode | null = null;
  for (let at = 0; at < layers.length; ) {
    const [index, layer] = layers[at]!;
    if (layer.format === 'vmdk') {
      const stack = layers.slice(at).map((entry) => entry[1]);
      const end = stack.findIndex((other) => other.format !== 'vmdk');
      const run: Layer[] = end < 0 ? stack : stack.slice(0, end);
      node = vmdkNode(run, request, plan);
      at += run.length;
      continue;
    }
    const { driver, driverOptions } = formatByName(layer.format);
    const plain: BlockNode = { driver, ...driverOptions, file: fileNode(layer.bytes, places) };
    if (driver !== 'qcow2') node = plain;
    else if (node === null || fits({ ...plain, backing: node })) node = { ...plain, backing: node };
    else node = { ...plain, backing: bridge(node, `${prefix}.layer${index + 1}.qcow2`, request, plan) };
    at += 1;
  }
  plan.overlays.push({ file: `${prefix}.qcow2`, ...backingOf(node!, places.work) });
  return plan;
}

/** Puts an empty overlay on `node`, so that the next layer can name it in a few bytes. */
function bridge(node: BlockNode, file: string, { places }: GraphRequest, plan: GraphPlan): BlockNode {
  plan.overlays.push({ file, ...backingOf(node, places.work) });
  return { driver: 'qcow2', file: { driver: 'file', filename: join(places.work, file) } };
}

/** `run`: the VMDK layers from the base up. */
function vmdkNode(run: readonly Layer[], request: GraphRequest, plan: GraphPlan): BlockNode {
  const { places, prefix } = request;
  const [base] = run as readonly [Layer];
  const isSingle = run.length === 1 && base.extents.length === 0;
  if (isSingle && (base.footer || base.bytes.region !== undefined))
    return { driver: 'vmdk', file: fileNode(base.bytes, places), backing: null };
  let parentPath: string | null = null;
  for (const [height, layer] of run.entries()) {
    if (layer.footer && height === 0 && layer.bytes.region === undefined) {
      // QEMU finds a footer only in a file that it opens itself. This one has no parent (see embeddedImage),
      // so nothing is followed.
      parentPath = pathFrom(places.work, pathOf(layer.bytes, places));
      continue;
    }
    const file = `${prefix}.layer${run.length - 1 - height}.vmdk`;
    const text = renderDescriptor({
      contentId: layer.content_id!,
      parentId: run[height - 1]?.content_id ?? null,
      parentPath,
      extents: renderedExtents(layer, request),
    });
    if (text === null) throw unusable(layer);
    plan.descriptors.push({ file, text });
    parentPath = `./${file}`;
  }
  return {
    driver: 'vmdk',
    file: { driver: 'file', filename: join(places.work, plan.descriptors.at(-1)!.file) },
  };
}

/** Returns the node of a file, or of a part of an archive, read in place. */
function fileNode(bytes: DiskBytes, places: Places): FileNode {
  const { region } = bytes;
  const file = { driver: 'file', filename: pathOf(bytes, places) } as const;
  return region === undefined ? file : { driver: 'raw', offset: region.offset, size: region.size, file };
}

const KINDS = { flat: 'FLAT', sparse: 'SPARSE', sesparse: 'SESPARSE' } as const;

function renderedExtents(layer: Layer, { places }: GraphRequest): RenderedExtent[] {
  const path = (bytes: DiskBytes) => pathFrom(places.work, pathOf(bytes, places));
  if ([layer, ...layer.extents].some(({ bytes }) => bytes.region !== undefined)) {
    throw unsupported(
      `${printable(layer.name)} is part of a chain or of a split disk inside an archive`,
      'Unpack the archive into a directory, and drop that.',
    );
  }
  if (layer.footer) {
    throw unsupported(
      `${printable(layer.name)} is stream-optimized with its directory at the end, and part of a chain`,
      'Convert it first: `vmware-vdiskmanager -r disk.vmdk -t 0 new.vmdk`, and drop the result.',
    );
  }
  if (layer.extents.length === 0)
    return [{ kind: 'SPARSE', size: layer.virtual_size, offset: 0, path: path(layer.bytes) }];
  return layer.extents.map(({ type, size, offset, bytes }) => ({
    kind: KINDS[type],
    size,
    offset,
    path: path(bytes),
  }));
}

/**
 * Returns a relative path for a file in the work directory: it is short and has a slash before any colon, so
 * that QEMU treats it as a file. All other paths are absolute: if the work directory is reached through a
 * link, `..` leads elsewhere.
 */
function pathFrom(workDirectory: string, file: string): string {
  const path = relative(workDirectory, file);
  return path.startsWith('../') ? file : `./${path}`;
}

/** Returns the backing file as it is written into an overlay's header: the explicit graph. */
function backingOf(node: BlockNode, workDirectory: string): { backing: string; backingFormat: string } {
  if (fits(node)) return { backing: specification(node), backingFormat: node.driver };
  const file = node.file.driver === 'file' && 'filename' in node.file ? node.file.filename : null;
  const path = file === null ? null : pathFrom(workDirectory, file);
  // For a very deep job path: relative names are short, and the file named here refers to nothing but our own
  // files.
  if (path !== null && (node.backing ?? null) === null && Buffer.byteLength(path) <= MAX_BACKING_NAME)
    return { backing: path, backingFormat: node.driver };
  throw new Hyper2kvmError(
    'flatten.path-unusable',
    'the path of the work directory is too long for a chain of qcow2 images',
  );
}

function specification(node: BlockNode): string {
  return `json:${JSON.stringify(node)}`;
}

function fits(node: BlockNode): boolean {
  return Buffer.byteLength(specification(node)) <= MAX_BACKING_NAME;
}

function unusable(layer: Layer): Hyper2kvmError {
  return new Hyper2kvmError(
    'flatten.path-unusable',
    `the files of ${printable(layer.name)} cannot be named to QEMU`,
  );
}
