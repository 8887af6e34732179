import { Hyper2kvmError } from '../errors/error.js';
import { printable } from '../text/escape-terminal.js';
import { rememberEnds } from './base/bytes.js';
import type { ByteSource, DiskImage, ParsedImage } from './base/format.js';
import { describeContent } from './foreign.js';
import { detectFormat, formatByName, formatOfExtension } from './formats.js';
import { parseRaw } from './raw.js';

export interface ReadOptions {
  /** Accept a file whose name claims raw as a disk whatever its content (data disks). */
  anyRaw: boolean;
  /**
   * The format that the VM's description declares for a file whose name claims none, or raw; null if it
   * declares none.
   */
  format?: 'qcow2' | 'raw' | null;
}

/**
 * What reading a file's header gave. At most one of `image` and `error` is set; neither if it is not an image
 * (a log, a VMX).
 */
export interface ReadImage {
  image: DiskImage | null;
  error: Hyper2kvmError | null;
  /** Set with `image`. Checks whether all bytes are there, by the tables that the header points to. */
  check: ParsedImage['check'] | null;
}

/**
 * Reads a file's header, once. Never throws for its content: a refusal is in `error`, and its message names
 * the file.
 */
export async function readImageFile(
  name: string,
  source: ByteSource,
  options: ReadOptions,
): Promise<ReadImage> {
  try {
    const parsed = await parseImage(name, rememberEnds(source), options);
    return { image: parsed?.image ?? null, check: parsed?.check ?? null, error: null };
  } catch (error) {
    if (!(error instanceof Hyper2kvmError)) throw error;
    return { image: null, check: null, error: inFile(name, error) };
  }
}

/** Returns the same error with the file's name, which parsers do not know. */
export function inFile(name: string, error: Hyper2kvmError): Hyper2kvmError {
  return Hyper2kvmError.of(error.code, `${printable(name)}: ${error.message}`, {
    advice: error.advice,
    cause: error.cause,
  });
}

async function parseImage(
  name: string,
  source: ByteSource,
  options: ReadOptions,
): Promise<ParsedImage | null> {
  const named = formatOfExtension(name);
  const described = options.format == null ? null : formatByName(options.format);
  // Vagrant's `box.img` is a qcow2: the ending is any disk's.
  const claimed = named === null || named.name === 'raw' ? (described ?? named) : named;
  const format = await detectFormat(claimed, source).catch((error: unknown) => {
    // A flat extent may contain any bytes; its descriptor decides.
    if (isFlatName(name)) return null;
    throw error;
  });
  if (format !== null) return format.parse(source);
  if (claimed === null || isFlatName(name)) return null;
  if (claimed.name === 'raw') {
    if (options.anyRaw) return parseRaw(source, 'data');
    if (await isBlank(source)) return parseRaw(source, BLANK);
  }
  const { what, advice } = await describeContent(source);
  throw new Hyper2kvmError('fetch.unknown-format', `this is not a disk image: it ${what}`, {
    advice:
      advice ??
      (claimed.name === 'raw'
        ? 'A raw disk needs a partition table or a known filesystem; for plain data put kind = "data" into its job.toml.'
        : `Check that the file was exported and copied completely; a .${claimed.extensions[0]} file starts with a header.`),
  });
}

/** True for VMware's names of files with plain bytes that belong to a descriptor. */
export function isFlatName(name: string): boolean {
  return /-(flat|f\d{3,}|rdm|rdmp)\.vmdk$/i.test(name);
}

/** Variant of a raw disk whose first 64 KiB are zeros. */
export const BLANK = 'blank';

async function isBlank(source: ByteSource): Promise<boolean> {
  const head = await source.read(0, 65_536);
  return head.length > 0 && head.every((byte) => byte === 0);
}
