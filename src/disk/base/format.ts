/** Reads one file (or a part of one) by position. Parsers have no other access to the outside. */
export interface ByteSource {
  /** Bytes. */
  readonly size: number;
  /**
   * Returns exactly `length` bytes from `offset`, fewer only at the end of the file. Offsets beyond the end
   * give an empty buffer.
   */
  read(offset: number, length: number): Promise<Buffer>;
  /**
   * Returns the first offset from `offset` on that is not in a hole; `size` if the rest is a hole. If absent,
   * there are no holes.
   */
  nextData?(offset: number): Promise<number>;
}

/** A file that holds a part of a disk's data, as its descriptor names it. Sizes and offsets in bytes. */
export interface ExtentReference {
  /** The name exactly as written, not to be used as a path: `NameIndex` finds the file of the drop for it. */
  name: string;
  /** `flat` is plain bytes; `sparse` and ESXi's `sesparse` have their own header. */
  type: 'flat' | 'sparse' | 'sesparse';
  size: number;
  /** Where the extent's data start in the file (flat only). */
  offset: number;
}

/** The older state that a differencing image builds on. */
interface ParentReference {
  /** The name as written; null if the format gives only an id. */
  name: string | null;
  /** VMDK's parentCID in lower-case hexadecimal; null if the format has none. */
  contentId: string | null;
  /** The parent's format if the header names it (qcow2); null: the same format. */
  format: string | null;
}

/**
 * What one image file declares about itself, checked against the limits below but not against other files.
 */
export interface DiskImage {
  /** Name of the format in the registry. */
  format: string;
  /** For people: createType of a VMDK, `v2`/`v3` of a qcow2, `mbr`, `gpt`, … of a raw disk. */
  variant: string;
  /** `extent`: only a piece of a disk, useless without its descriptor. */
  role: 'disk' | 'extent';
  /** Bytes. */
  virtualSize: number;
  /** VMDK's CID in lower-case hexadecimal; null if the format has none. */
  contentId: string | null;
  /**
   * 32 lower-case hexadecimal digits, from which the hypervisor derives the disk's serial number; absent if it
   * has none.
   */
  uuid?: string;
  parent: ParentReference | null;
  /** Other files that hold the data, in disk order; empty for a self-contained image. */
  extents: ExtentReference[];
  /** ESXi's seSparse extent: QEMU reads it only where the descriptor says so. */
  seSparse?: true;
  /** A sparse VMDK whose grain directory is in its footer: QEMU must open it directly (see vmdk/index.ts). */
  footer?: true;
  /** Its sectors have 4096 bytes, and QEMU does not read the format with such: it must be copied out. */
  isCopied?: true;
  /** Bytes of a logical sector, if the format declares it and it is not 512. */
  sectorSize?: 4096;
}

/**
 * Whether all bytes of a file have arrived, as far as the format can tell. `allocated`: bytes of the disk
 * that this file holds, null if the format does not tell. `reason` is text for people: `the footer has not
 * arrived`.
 */
export type Completeness = { complete: true; allocated: number | null } | { complete: false; reason: string };

/**
 * The contents of a header, and a check of the tables that it points to, which reads each of them once and
 * the header not again.
 */
export interface ParsedImage {
  image: DiskImage;
  check(source: ByteSource): Promise<Completeness>;
}

/**
 * An image format. All members are pure except for reads through ByteSource, have bounded memory and never
 * block the event loop for long. They reject with `fetch.*` errors. A new format is a file that exports one
 * of these and a line in formats.ts.
 */
export interface DiskFormat {
  name: string;
  /** In lower case, without the dot. Advice on renaming uses the first. */
  extensions: readonly string[];
  /** Name of QEMU's block driver. */
  driver: string;
  /** Further options of that driver, for every image of the format. */
  driverOptions?: Readonly<Record<string, string>>;
  /**
   * The format's signature is at the end of the file: until it has arrived, the file looks like plain bytes.
   */
  markAtEnd?: true;
  /**
   * True if the magic and the structure around it are this format's. Reads `head` (at most the first 4 KiB)
   * and the end of `source`.
   */
  detect(head: Buffer, source: ByteSource): Promise<boolean>;
  parse(source: ByteSource): Promise<ParsedImage>;
}

export const SECTOR = 512;
/**
 * The largest disk that any parser accepts (1 PiB). Operators set `flatten.max_virtual_size_gib` below it.
 */
export const MAX_VIRTUAL_SIZE = 2 ** 50;
/** A text descriptor has a few hundred bytes; QEMU itself reads no more than this. */
export const MAX_DESCRIPTOR = 1024 * 1024;
