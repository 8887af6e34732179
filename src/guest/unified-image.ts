import { Hyper2kvmError } from '../errors/error.js';

/**
 * A section of a unified kernel image: a PE program (Microsoft's PE/COFF specification) whose sections are
 * kernel, initramfs and command line, as systemd-stub(7) reads them. Plans name a section as if it were a
 * file, `IMAGE.efi:.cmdline`: these images are on FAT, where names contain no `:`.
 */
export interface UnifiedSection {
  name: string;
  /** Offset and size of its content in the file, in bytes. */
  offset: number;
  size: number;
}

/** The command line and the initramfs: the sections that may change with the hardware. */
export type ChangeableSection = '.cmdline' | '.initrd';

export const sectionPath = (image: string, section: ChangeableSection): string => `${image}:${section}`;

/** Returns the parts of a path made by `sectionPath`, or null for any other path. */
export function parseSectionPath(path: string): { image: string; section: ChangeableSection } | null {
  const [, image, section] = /^(.+\.[eE][fF][iI]):(\.cmdline|\.initrd)$/.exec(path) ?? [];
  return image === undefined || section === undefined
    ? null
    : { image, section: section as ChangeableSection };
}

/** Enough bytes for all headers that are read. */
export const UNIFIED_HEADER_BYTES = 64 * 1024;
const SECTION_HEADER_BYTES = 40;
const MAX_SECTIONS = 96;
/** Addresses have 32 bits, and firmware loads the whole image. */
const MAX_IMAGE_BYTES = 2 ** 31;

interface Section extends UnifiedSection {
  /** Offset of its header in the file. */
  header: number;
  /** In memory, relative to the image. */
  address: number;
  virtualSize: number;
  rawSize: number;
}

interface Headers {
  sections: Section[];
  coff: number;
  optional: number;
  /** Offset of the data directories' fifth entry: offset and size of the signatures. 0 if there is none. */
  certificates: number;
  sectionAlignment: number;
  fileAlignment: number;
}

/**
 * Returns the sections in the order of their headers. `head` holds the first `UNIFIED_HEADER_BYTES` of a file
 * of `size` bytes, or all of it. Throws `guest.unified-image` for anything but a complete PE program.
 */
export function unifiedSections(head: Buffer, size: number): UnifiedSection[] {
  return readHeaders(head, size).sections.map(({ name, offset, size }) => ({ name, offset, size }));
}

export function isSigned(image: Buffer): boolean {
  const { certificates } = readHeaders(image, image.length);
  return certificates !== 0 && image.readUInt32LE(certificates + 4) > 0;
}

/**
 * Returns the image with `content` as the section's content. All other sections keep their content and
 * addresses; this one keeps its address if the new content fits, and otherwise moves after all others. A
 * signature is dropped, because it is no longer valid. The same input gives the same bytes.
 */
export function withSection(image: Buffer, name: ChangeableSection, content: Buffer): Buffer {
  const { sections, coff, optional, certificates, sectionAlignment, fileAlignment } = readHeaders(
    image,
    image.length,
  );
  const [changed, ...others] = sections.filter((section) => section.name === name);
  if (changed === undefined) throw damaged(`it has no section ${name}`);
  if (others.length > 0) throw damaged(`it has several sections ${name}`);
  const address = placeFor(changed, content.length, sections, { image, sectionAlignment });

  const ends = sections.map((section) =>
    section === changed ? address + content.length : section.address + section.virtualSize,
  );
  const imageSize = roundUp(Math.max(...ends), sectionAlignment);
  if (imageSize > MAX_IMAGE_BYTES) throw damaged('it becomes too large');

  const filled = sections.filter((section) => section === changed || section.rawSize > 0);
  const byOffset = filled.sort((a, b) => (a.offset || image.length) - (b.offset || image.length));
  const first = Math.min(...byOffset.map(({ offset }) => offset || image.length));
  const pieces: Buffer[] = [Buffer.from(image.subarray(0, first))];
  const head = pieces[0] as Buffer;
  let end = first;
  for (const section of byOffset) {
    const bytes =
      section === changed ? content : image.subarray(section.offset, section.offset + section.rawSize);
    const padded = roundUp(bytes.length, fileAlignment);
    head.writeUInt32LE(padded, section.header + 16);
    head.writeUInt32LE(end, section.header + 20);
    pieces.push(bytes, Buffer.alloc(padded - bytes.length));
    end += padded;
  }
  head.writeUInt32LE(content.length, changed.header + 8);
  head.writeUInt32LE(address, changed.header + 12);
  head.writeUInt32LE(imageSize, optional + 56);
  // A checksum of 0 means none; firmware checks it for Windows drivers only.
  head.writeUInt32LE(0, optional + 64);
  if (certificates !== 0) head.fill(0, certificates, certificates + 8);
  // The symbol table was stored after the sections.
  head.fill(0, coff + 8, coff + 16);
  if (address !== changed.address) moveHeaderToEnd(head, changed, sections);
  return Buffer.concat(pieces);
}

/** Moves a header, because headers are ordered by address. */
function moveHeaderToEnd(head: Buffer, moved: Section, sections: readonly Section[]): void {
  const last = Math.max(...sections.map(({ header }) => header));
  const copy = Buffer.from(head.subarray(moved.header, moved.header + SECTION_HEADER_BYTES));
  head.copyWithin(moved.header, moved.header + SECTION_HEADER_BYTES, last + SECTION_HEADER_BYTES);
  copy.copy(head, last);
}

/**
 * Returns the section's own address if `size` bytes fit before the next section, otherwise one after all of
 * them.
 */
function placeFor(
  section: Section,
  size: number,
  sections: readonly Section[],
  { image, sectionAlignment }: { image: Buffer; sectionAlignment: number },
): number {
  const next = sections.map(({ address }) => address).filter((address) => address > section.address);
  if (section.address + size <= Math.min(...next, MAX_IMAGE_BYTES)) return section.address;
  const ends = sections.map(({ address, virtualSize, name, offset }) =>
    // Old stubs start the kernel where it was loaded, and it unpacks itself over what follows.
    name === '.linux' ? address + Math.max(virtualSize, kernelMemory(image, offset)) : address + virtualSize,
  );
  return roundUp(Math.max(...ends), sectionAlignment);
}

/** Returns a section's text without the NUL that old tools append. */
export function withoutNuls(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return Buffer.from(end === -1 ? bytes : bytes.subarray(0, end));
}

/** Returns `init_size` of an x86 kernel (Documentation/arch/x86/boot.rst), or 0 for any other content. */
function kernelMemory(image: Buffer, offset: number): number {
  if (offset + 0x264 > image.length || image.toString('latin1', offset + 0x202, offset + 0x206) !== 'HdrS')
    return 0;
  return image.readUInt32LE(offset + 0x260);
}

function readHeaders(bytes: Buffer, size: number): Headers {
  const head = bytes.subarray(0, UNIFIED_HEADER_BYTES);
  try {
    const headers = parseHeaders(head);
    checkPlaces(headers, Math.min(head.length, size), size);
    return headers;
  } catch (error) {
    // A read past the end: the headers are truncated, or point outside of the file.
    if (error instanceof RangeError) throw damaged('it is not a PE program');
    throw error;
  }
}

function parseHeaders(head: Buffer): Headers {
  const signature = head.readUInt32LE(0x3c);
  if (head.toString('latin1', 0, 2) !== 'MZ' || head.readUInt32LE(signature) !== 0x4550)
    throw damaged('it is not a PE program');
  const coff = signature + 4;
  const optional = coff + 20;
  const optionalSize = head.readUInt16LE(coff + 16);
  const magic = head.readUInt16LE(optional);
  if (magic !== 0x10b && magic !== 0x20b) throw damaged('it is not a PE program');
  const directories = optional + (magic === 0x20b ? 112 : 96);
  const certificates = directories + 4 * 8;
  const hasCertificates =
    head.readUInt32LE(directories - 4) > 4 && certificates + 8 <= optional + optionalSize;
  const count = head.readUInt16LE(coff + 2);
  if (count > MAX_SECTIONS) throw damaged(`it has ${count} sections`);
  const sections = Array.from({ length: count }, (_, index) =>
    readSection(head, optional + optionalSize + index * SECTION_HEADER_BYTES),
  );
  return {
    sections,
    coff,
    optional,
    certificates: hasCertificates ? certificates : 0,
    sectionAlignment: alignment(head.readUInt32LE(optional + 32)),
    fileAlignment: alignment(head.readUInt32LE(optional + 36)),
  };
}

function readSection(head: Buffer, header: number): Section {
  const rawSize = head.readUInt32LE(header + 16);
  // Firmware treats 0 as the whole of it.
  const virtualSize = head.readUInt32LE(header + 8) || rawSize;
  return {
    name: head.toString('latin1', header, header + 8).replace(/\0+$/, ''),
    header,
    virtualSize,
    rawSize,
    address: head.readUInt32LE(header + 12),
    offset: rawSize === 0 ? 0 : head.readUInt32LE(header + 20),
    size: Math.min(virtualSize, rawSize),
  };
}

/**
 * Checks that all headers that are read or written are before the first section, and that the sections are
 * inside the file and do not overlap: otherwise a small file would become a large one.
 */
function checkPlaces({ sections, optional, certificates }: Headers, headBytes: number, size: number): void {
  const filled = sections.filter(({ rawSize }) => rawSize > 0).sort((a, b) => a.offset - b.offset);
  const headers = sections.map(({ header }) => header + SECTION_HEADER_BYTES);
  const end = Math.max(optional + 68, certificates + 8, ...headers);
  if (end > Math.min(headBytes, filled[0]?.offset ?? headBytes)) throw damaged('its headers are truncated');
  for (const [index, section] of filled.entries()) {
    const next = filled[index + 1];
    if (section.offset + section.rawSize > Math.min(next?.offset ?? size, size))
      throw damaged(`its section ${section.name} is truncated`);
  }
}

function alignment(value: number): number {
  if (value === 0 || value > 2 ** 24 || (value & (value - 1)) !== 0)
    throw damaged(`its alignment is ${value}`);
  return value;
}

const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

function damaged(why: string): Hyper2kvmError {
  return new Hyper2kvmError('guest.unified-image', `the unified kernel image cannot be read: ${why}`);
}
