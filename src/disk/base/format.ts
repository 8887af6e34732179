/**
 * Positional reader of one file (or of a part of one): the only thing that parsers know of the outside world.
 */
export interface ByteSource {
  /** Bytes. */
  readonly size: number;
  /**
   * Exactly `length` bytes from `offset`; fewer only where the file ends. Offsets beyond the end give an
   * empty buffer.
   */
  read(offset: number, length: number): Promise<Buffer>;
  /**
   * The first byte from `offset` on that is not in a hole; `size` where the rest is one. Left out: there are
   * no holes.
   */
  nextData?(offset: number): Promise<number>;
}

/** A file that holds a part of a disk's data, as its descriptor names it. Sizes and offsets in bytes. */
export interface ExtentReference {
  /** The name exactly as written: data until `NameIndex` has found a file of the drop for it. */
  name: string;
  /** `flat` is plain bytes, `sparse` has a header of its own. */
  type: 'flat' | 'sparse';
  size: number;
  /** Where the extent's data start in the file (flat only). */
  offset: number;
}

/** The older state that a differencing image builds on. */
interface ParentReference {
  /** The name as written; null where the format gives only an id. */
  name: string | null;
  /** VMDK's parentCID in lower-case hexadecimal; null where the format has none. */
  contentId: string | null;
  /** Format of the parent where the header says (qcow2); null: the same format. */
  format: string | null;
}

/** What one image file says of itself, checked against the limits below but not against other files. */
export interface DiskImage {
  /** Name of the format in the registry. */
  format: string;
  /** createType of a VMDK, `v2`/`v3` of a qcow2, `mbr`, `gpt`, … of a raw disk: for people. */
  variant: string;
  /** `extent`: only a piece of a disk, useless without its descriptor. */
  role: 'disk' | 'extent';
  /** Bytes. */
  virtualSize: number;
  /** VMDK's CID in lower-case hexadecimal; null where the format has none. */
  contentId: string | null;
  parent: ParentReference | null;
  /** Other files that hold the data, in disk order; empty for a self-contained image. */
  extents: ExtentReference[];
  /** A sparse VMDK whose grain directory is in its footer: QEMU must open it directly (see vmdk/index.ts). */
  footer?: true;
  /** Its sectors have 4096 bytes, and QEMU does not read the format with such: it must be copied out. */
  isCopied?: true;
}

/**
 * Whether all of the file's bytes have arrived, as far as the format can tell. `allocated`: bytes of the disk
 * that this file holds, null where the format does not tell. `reason` is text for people: `the footer has not
 * arrived`.
 */
export type Completeness = { complete: true; allocated: number | null } | { complete: false; reason: string };

/**
 * What a header says, and a check of the tables that it points to, which reads each of them once. The header
 * is not read again.
 */
export interface ParsedImage {
  image: DiskImage;
  check(source: ByteSource): Promise<Completeness>;
}

/**
 * One image format. All members are pure but for reads through ByteSource, bounded in memory and in the
 * length of a turn of the event loop, and reject with `fetch.*` errors. A new format is a file that exports
 * one of these and a line in formats.ts.
 */
export interface DiskFormat {
  name: string;
  /** Lower case, without the dot. The first is what advice tells to rename to. */
  extensions: readonly string[];
  /** Name of QEMU's block driver. */
  driver: string;
  /** Further options of that driver, for every image of the format. */
  driverOptions?: Readonly<Record<string, string>>;
  /** Its mark is at the end of the file: while that has not arrived, the file looks like plain bytes. */
  markAtEnd?: true;
  /**
   * True where the magic and the structure around it are this format's. Looks at `head` (first 4 KiB at most)
   * and at the end of `source`.
   */
  detect(head: Buffer, source: ByteSource): Promise<boolean>;
  parse(source: ByteSource): Promise<ParsedImage>;
}

export const SECTOR = 512;
/**
 * The largest disk that any parser accepts (1 PiB); `flatten.max_virtual_size_gib` is the limit that
 * operators set below it.
 */
export const MAX_VIRTUAL_SIZE = 2 ** 50;
/** A text descriptor is a few hundred bytes; QEMU itself reads no more than this. */
export const MAX_DESCRIPTOR = 1024 * 1024;
