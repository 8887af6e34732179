import { MAX_DESCRIPTOR } from '../../../../disk/base/format.js';
import { referencedName } from '../../../../disk/base/names.js';
import { looksLikeDescriptor, parseDescriptor } from '../../../../disk/vmdk/descriptor.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import { memoryFile } from '../base/memory-file.js';
import { paced } from '../base/paced.js';
import type { RemoteFile } from '../base/transport.js';
import { type DatastorePath, datastorePathText, parseDatastorePath } from './datastore-path.js';
import { renderVmx } from './render-vmx.js';
import type { VmFacts } from './vm-facts.js';

/** Opens a file of a datastore. */
export type OpenFile = (path: DatastorePath) => Promise<RemoteFile>;

/**
 * Returns the files of a VM: its description, and of each disk the descriptors and extents of its whole chain. The
 * descriptors say which extents there are, because vCenter lists neither `-flat` nor `-delta` files.
 */
export async function vmFiles(vm: VmFacts, open: OpenFile, signal: AbortSignal): Promise<RemoteFile[]> {
  const chains = vm.disks.map(({ chain }) => chain.map(parseDatastorePath));
  const opened = new Map<string, OpenedFile>();
  for (const descriptor of chains.flat()) {
    if (opened.has(datastorePathText(descriptor))) continue;
    for (const one of await filesOfLayer(descriptor, open, signal))
      opened.set(datastorePathText(one.path), one);
  }
  const nameOf = landedNames(
    descriptionName(vm),
    [...opened.values()].map(({ path }) => path),
  );
  const newest = new Map(vm.disks.map(({ slot }, index) => [slot, nameOf(chains[index]![0]!)]));
  return [
    descriptionFile(vm, (slot) => newest.get(slot)!),
    ...[...opened.values()].map(({ path, file }) => ({ ...file, name: nameOf(path) })),
  ];
}

/** Returns the .vmx, which is not the server's own. `fileOf` gives the name of a disk in the drop. */
export function descriptionFile(vm: VmFacts, fileOf: (slot: string) => string): RemoteFile {
  const name = descriptionName(vm);
  // Of the same state as the disks, or it alone would count as a file of an earlier one.
  return memoryFile(name, Buffer.from(renderVmx(vm, fileOf)), `${vm.moref}: ${name}`, vm.changeVersion);
}

function descriptionName({ configFile }: VmFacts): string {
  const { file } = parseDatastorePath(configFile!);
  return /\.vmx$/i.test(file) ? file : 'vm.vmx';
}

interface OpenedFile {
  path: DatastorePath;
  file: RemoteFile;
}

async function filesOfLayer(
  descriptor: DatastorePath,
  open: OpenFile,
  signal: AbortSignal,
): Promise<OpenedFile[]> {
  const file = await open(descriptor);
  // Anything larger is a disk with its descriptor inside.
  if (file.size > MAX_DESCRIPTOR) return [{ path: descriptor, file }];
  const bytes = await contentOf(file, signal);
  if (!looksLikeDescriptor(bytes)) return [{ path: descriptor, file }];
  const { extents } = parseDescriptor(bytes);
  const own = memoryFile(file.name, bytes, file.origin, file.validator);
  const opened: OpenedFile[] = [{ path: descriptor, file: own }];
  for (const name of new Set(extents.map((extent) => referencedName(extent.name, descriptor.file)))) {
    const path = parseDatastorePath(datastorePathText({ ...descriptor, file: name }));
    const extent = await open(path);
    refuseSmaller(extent, path, extents);
    opened.push({ path, file: extent });
  }
  return opened;
}

/** A flat extent has all bytes that its descriptor promises, or the copy of the disk was never finished. */
function refuseSmaller(
  { size }: RemoteFile,
  path: DatastorePath,
  extents: ReturnType<typeof parseDescriptor>['extents'],
): void {
  for (const { kind, name, offset, sectors } of extents) {
    const isFlat = kind === 'FLAT' || kind === 'VMFS';
    if (!isFlat || referencedName(name, path.file) !== path.file || size >= (offset + sectors) * 512)
      continue;
    throw new Hyper2kvmError(
      'remote.truncated',
      `${datastorePathText(path)} has ${size} bytes, and its descriptor promises ${(offset + sectors) * 512}`,
    );
  }
}

/**
 * Returns how files are named here. Files keep their own names, beside the description. Only where two of them have
 * the same name, each folder is one here too: `disks-1/web01.vmdk`.
 */
function landedNames(description: string, files: readonly DatastorePath[]): (path: DatastorePath) => string {
  const keyOf = ({ datastore, folder }: DatastorePath) => `[${datastore}] ${folder}`;
  const folders = [...new Set(files.map(keyOf))];
  const names = [description, ...files.map(({ file }) => file)];
  const isClash = new Set(names.map((name) => name.normalize('NFC').toLowerCase())).size < names.length;
  return (path) => (isClash ? `disks-${folders.indexOf(keyOf(path)) + 1}/${path.file}` : path.file);
}

async function contentOf(file: RemoteFile, signal: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of paced(file, null, signal)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
