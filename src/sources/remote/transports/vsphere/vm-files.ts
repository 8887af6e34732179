import { createHash } from 'node:crypto';
import { MAX_DESCRIPTOR } from '../../../../disk/base/format.js';
import { referencedName } from '../../../../disk/base/names.js';
import { looksLikeDescriptor, parseDescriptor } from '../../../../disk/vmdk/descriptor.js';
import { Hyper2kvmError } from '../../../../errors/error.js';
import type { RemoteFile } from '../base/transport.js';
import { type DatastorePath, datastorePathText, parseDatastorePath } from './datastore-path.js';
import { renderVmx } from './render-vmx.js';
import type { VmFacts } from './vm-facts.js';

/** Opens a file of a datastore, under the name that it is landed as. */
export type OpenFile = (path: DatastorePath, name: string) => Promise<RemoteFile>;

/**
 * Returns the files of a VM: its description, and of each disk the descriptors and extents of its whole chain. The
 * descriptors say which extents there are, because vCenter lists neither `-flat` nor `-delta` files.
 */
export async function vmFiles(vm: VmFacts, open: OpenFile, signal: AbortSignal): Promise<RemoteFile[]> {
  const chains = vm.disks.map(({ chain }) => chain.map(parseDatastorePath));
  const nameOf = landedNames(chains.flat());
  const files = new Map<string, RemoteFile>();
  for (const descriptor of chains.flat()) {
    if (files.has(nameOf(descriptor))) continue;
    for (const file of await filesOfLayer(descriptor, nameOf, open, signal)) files.set(file.name, file);
  }
  const newest = new Map(vm.disks.map(({ slot }, index) => [slot, nameOf(chains[index]![0]!)]));
  const text = renderVmx(vm, (slot) => newest.get(slot)!);
  const { file: configFile } = parseDatastorePath(vm.configFile!);
  const name = /\.vmx$/i.test(configFile) ? configFile : 'vm.vmx';
  return [memoryFile(name, Buffer.from(text), `${vm.moref}: ${name}`), ...files.values()];
}

async function filesOfLayer(
  descriptor: DatastorePath,
  nameOf: (path: DatastorePath) => string,
  open: OpenFile,
  signal: AbortSignal,
): Promise<RemoteFile[]> {
  const file = await open(descriptor, nameOf(descriptor));
  // Anything larger is a disk with its descriptor inside.
  if (file.size > MAX_DESCRIPTOR) return [file];
  const bytes = await contentOf(file, signal);
  if (!looksLikeDescriptor(bytes)) return [file];
  const { extents } = parseDescriptor(bytes);
  const own = memoryFile(file.name, bytes, file.origin, file.validator);
  const paths = [...new Set(extents.map(({ name }) => referencedName(name, descriptor.file)))].map(
    (name): DatastorePath => ({ ...descriptor, file: name }),
  );
  const opened: RemoteFile[] = [];
  for (const path of paths) {
    const extent = await open(path, nameOf(path));
    refuseSmaller(extent, path, extents);
    opened.push(extent);
  }
  return [own, ...opened];
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
      'remote.unsupported-disk',
      `${datastorePathText(path)} has ${size} bytes, and its descriptor promises ${(offset + sectors) * 512}`,
    );
  }
}

/**
 * Returns how files are named here. Files keep their own names, beside the description. Only where two folders have
 * files of the same name, each folder is one here too: `disks-1/web01.vmdk`.
 */
function landedNames(descriptors: readonly DatastorePath[]): (path: DatastorePath) => string {
  const keyOf = ({ datastore, folder }: DatastorePath) => `[${datastore}] ${folder}`;
  const folders = [...new Set(descriptors.map(keyOf))];
  const byName = new Map<string, string>();
  const isClash = descriptors.some((path) => {
    const name = path.file.normalize('NFC').toLowerCase();
    const known = byName.get(name) ?? datastorePathText(path);
    byName.set(name, known);
    return known !== datastorePathText(path);
  });
  return (path) => (isClash ? `disks-${folders.indexOf(keyOf(path)) + 1}/${path.file}` : path.file);
}

async function contentOf(file: RemoteFile, signal: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of file.read(null, signal)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A file whose content is known already. */
function memoryFile(
  name: string,
  bytes: Buffer,
  origin: string,
  validator: string | null = null,
): RemoteFile {
  const digest = createHash('sha256').update(bytes).digest('hex');
  return {
    name,
    size: bytes.length,
    validator: [validator, digest].filter(Boolean).join(' '),
    hasRanges: true,
    data: null,
    origin,
    async *read(range) {
      yield range === null ? bytes : bytes.subarray(range.start, range.end);
    },
  };
}
