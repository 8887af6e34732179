import type { ByteSource } from './base/format.js';

/** What a file is that is no disk image, and what to do with it where that is known. */
export interface ForeignContent {
  /** Behind “it”: `is a ZIP archive`. */
  what: string;
  advice: string | null;
}

interface Magic extends ForeignContent {
  offset: number;
  magic: string;
}

const UNPACK = 'Unpack it, and drop what is in it: the disks, with their .vmx or .ovf.';
const toQcow2 = (format: string) =>
  `Convert it first: \`qemu-img convert -f ${format} -O qcow2 FILE web01.qcow2\`, and drop the result.`;

const TAR: Magic = {
  offset: 257,
  magic: 'ustar',
  what: 'is a tar archive',
  advice: `An archive of a VM must end in .ova, .tar or .box. ${UNPACK}`,
};

// A tar archive begins with a member's name, which may be anything.
const FOREIGN: readonly Magic[] = [
  TAR,
  { offset: 0, magic: '\x1f\x8b', what: 'is gzip-compressed', advice: UNPACK },
  { offset: 0, magic: '\xfd7zXZ\0', what: 'is xz-compressed', advice: UNPACK },
  { offset: 0, magic: '\x28\xb5\x2f\xfd', what: 'is zstd-compressed', advice: UNPACK },
  { offset: 0, magic: 'BZh', what: 'is bzip2-compressed', advice: UNPACK },
  { offset: 0, magic: '\x04\x22\x4d\x18', what: 'is lz4-compressed', advice: UNPACK },
  { offset: 0, magic: 'PK\x03\x04', what: 'is a ZIP archive', advice: UNPACK },
  { offset: 0, magic: "7z\xbc\xaf'\x1c", what: 'is a 7-Zip archive', advice: UNPACK },
  { offset: 0, magic: 'Rar!\x1a\x07', what: 'is a RAR archive', advice: UNPACK },
  { offset: 0, magic: 'QED\0', what: 'is a QED image', advice: toQcow2('qed') },
  { offset: 0, magic: 'WithoutFreeSpace', what: 'is a Parallels disk', advice: toQcow2('parallels') },
  { offset: 0, magic: 'WithouFreSpacExt', what: 'is a Parallels disk', advice: toQcow2('parallels') },
  {
    offset: 0,
    magic: 'VMA\0',
    what: 'is a Proxmox backup',
    advice: 'Give it a name that ends in .vma, as Proxmox does, and drop it by itself.',
  },
  { offset: 0, magic: 'MSWIM\0\0\0', what: 'is a Windows image (WIM)', advice: null },
  { offset: 32_769, magic: 'CD001', what: 'is a CD or DVD image (ISO 9660)', advice: null },
  { offset: 0, magic: '%PDF', what: 'is a PDF document', advice: null },
  { offset: 0, magic: '\x7fELF', what: 'is a program', advice: null },
];
/** Up to the last mark. */
const HEAD_BYTES = 32_774;

/** Returns what the file is by its mark, or null where it has none of those. */
export async function foreignContent(source: ByteSource): Promise<ForeignContent | null> {
  return markOf(await source.read(0, HEAD_BYTES));
}

/** Returns what a file is that should be a tar archive and is something else; null where it may be one. */
export async function foreignArchive(source: ByteSource): Promise<ForeignContent | null> {
  const found = markOf(await source.read(0, HEAD_BYTES));
  return found === TAR ? null : found;
}

function markOf(head: Buffer): ForeignContent | null {
  const found = FOREIGN.find(
    ({ offset, magic }) => head.toString('latin1', offset, offset + magic.length) === magic,
  );
  if (found !== undefined) return found;
  const isPage = /^(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|\?xml)/i.test(head.toString('latin1', 0, 4096));
  return isPage ? { what: 'is a web page or XML text', advice: PAGE } : null;
}

const PAGE = 'A download that needed a login often ends so: download the file again.';

/** Returns what the file is, for a message; something is said of every file. */
export async function describeContent(source: ByteSource): Promise<ForeignContent> {
  if (source.size === 0) return { what: 'is empty', advice: null };
  const foreign = await foreignContent(source);
  if (foreign !== null) return foreign;
  const head = await source.read(0, 4096);
  if (head.every((byte) => byte === 0)) return { what: 'starts with zeros', advice: null };
  const isText = head.every((byte) => byte >= 0x20 || byte === 9 || byte === 10 || byte === 13);
  return { what: isText ? 'is plain text' : 'has no known header', advice: null };
}
