import { corrupt, readExact, truncated } from '../base/bytes.js';
import {
  type ByteSource,
  type DiskFormat,
  type DiskImage,
  MAX_DESCRIPTOR,
  type ParsedImage,
  SECTOR,
} from '../base/format.js';
import { COWD_MAGIC, cowdCompleteness, parseCowd } from './cowd.js';
import { beforeNul, descriptorImage, looksLikeDescriptor, parseDescriptor } from './descriptor.js';
import { isSeSparse, parseSeSparse, seSparseCompleteness } from './sesparse.js';
import {
  parseSparseHeader,
  QEMU_DESCRIPTOR_OFFSET,
  QEMU_DESCRIPTOR_WINDOW,
  SPARSE_MAGIC,
  type SparseHeader,
  sparseCompleteness,
} from './sparse.js';

/** One kind of file that is named .vmdk. `head` is its first sector, or all of a shorter file. */
interface VmdkFile {
  name: string;
  detect(head: Buffer): boolean;
  parse(source: ByteSource, head: Buffer): Promise<ParsedImage>;
}

/** A new subformat is a parser in a file of this folder, and a line here. */
export const VMDK_FILES: readonly VmdkFile[] = [
  { name: 'descriptor', detect: looksLikeDescriptor, parse: descriptorFile },
  { name: 'seSparse', detect: isSeSparse, parse: seSparseExtent },
  { name: 'COWD', detect: startsWith(COWD_MAGIC), parse: cowdExtent },
  { name: 'hosted sparse', detect: startsWith(SPARSE_MAGIC), parse: hostedSparse },
];

/** VMware's VMDK: text descriptors, hosted sparse and stream-optimized extents, ESXi's COWD and seSparse. */
export const vmdk: DiskFormat = {
  name: 'vmdk',
  extensions: ['vmdk'],
  driver: 'vmdk',
  detect: async (head) => VMDK_FILES.some((file) => file.detect(head)),
  parse,
};

async function parse(source: ByteSource): Promise<ParsedImage> {
  const head = await source.read(0, SECTOR);
  const file = VMDK_FILES.find((candidate) => candidate.detect(head));
  if (file === undefined) throw corrupt('the file has no VMDK header');
  return file.parse(source, head);
}

function startsWith(magic: Buffer): VmdkFile['detect'] {
  return (head) => head.subarray(0, magic.length).equals(magic);
}

async function descriptorFile(source: ByteSource): Promise<ParsedImage> {
  const image = descriptorImage(parseDescriptor(await wholeText(source)), false);
  return { image, check: async () => ({ complete: true, allocated: 0 }) };
}

async function seSparseExtent(_source: ByteSource, head: Buffer): Promise<ParsedImage> {
  if (head.length < SECTOR) throw truncated('the header has not arrived completely');
  const header = parseSeSparse(head);
  const check = (whole: ByteSource) => seSparseCompleteness(whole, header);
  return { image: { ...extentImage('seSparse', header.capacity), seSparse: true }, check };
}

async function cowdExtent(_source: ByteSource, head: Buffer): Promise<ParsedImage> {
  if (head.length < SECTOR) throw truncated('the header has not arrived completely');
  const layout = parseCowd(head);
  const check = (whole: ByteSource) => cowdCompleteness(whole, layout);
  return { image: extentImage('vmfsSparse', layout.capacity), check };
}

async function hostedSparse(source: ByteSource, head: Buffer): Promise<ParsedImage> {
  if (head.length < SECTOR) throw truncated('the header has not arrived completely');
  const header = parseSparseHeader(head);
  const image = await sparseImage(source, header);
  return {
    // QEMU reads the footer through the descriptor's file (block/vmdk.c), so not if another file lists this
    // one.
    image: header.directory === null ? { ...image, footer: true } : image,
    check: (whole) => sparseCompleteness(whole, header),
  };
}

async function sparseImage(source: ByteSource, header: SparseHeader): Promise<DiskImage> {
  return header.descriptorSize === 0 ? extentImage('sparse', header.capacity) : embeddedImage(source, header);
}

/** Returns the image of a sparse file with its own descriptor: monolithicSparse or streamOptimized. */
async function embeddedImage(source: ByteSource, header: SparseHeader): Promise<DiskImage> {
  const text = await readExact(
    source,
    header.descriptorOffset,
    header.descriptorSize,
    'the embedded descriptor',
  );
  if (text.every((byte) => byte === 0)) return extentImage('sparse', header.capacity);
  if (header.descriptorOffset !== QEMU_DESCRIPTOR_OFFSET)
    throw corrupt('the embedded descriptor is not where QEMU reads it');
  const descriptor = parseDescriptor(text);
  const window = await source.read(QEMU_DESCRIPTOR_OFFSET, QEMU_DESCRIPTOR_WINDOW);
  if (descriptor.parentHint === null && beforeNul(window).includes('parentFileNameHint'))
    throw corrupt('the file names a parent outside of the embedded descriptor');
  const [extent, ...others] = descriptor.extents;
  if (extent === undefined || others.length > 0 || extent.kind !== 'SPARSE')
    throw corrupt('the embedded descriptor lists extents other than the file that contains it');
  if (extent.sectors * SECTOR !== header.capacity)
    throw corrupt(
      `the header’s capacity is ${header.capacity} bytes, the descriptor’s ${extent.sectors * SECTOR}`,
    );
  return descriptorImage(descriptor, true);
}

function extentImage(variant: string, virtualSize: number): DiskImage {
  return { format: 'vmdk', variant, role: 'extent', virtualSize, contentId: null, parent: null, extents: [] };
}

async function wholeText(source: ByteSource): Promise<Buffer> {
  if (source.size > MAX_DESCRIPTOR)
    throw corrupt(`the text descriptor has ${source.size} bytes, more than 1 MiB`);
  return readExact(source, 0, source.size, 'the descriptor');
}
